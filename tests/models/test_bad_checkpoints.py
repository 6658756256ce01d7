"""Checkpoints from elsewhere: none runs code, and a broken one is one line (kinds 68 and 69 of docs/bad-input.md)."""

import io
import json
import os
import pickle
import random
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from data.campaign import load_campaign
from data.errors import Refused
from models.lm.base import Base, open_base
from models.lm.checkpoint_folder import check_folder
from models.monitoring.preflight import scores_of_base
from models.reward.model import new_reward_model

WEIGHTS = "model.safetensors"
RULES = load_campaign("sentiment").text


class Trap:
    """A pickle that writes a file when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


def test_kind_68_a_pickle_is_not_opened(tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path / "base")
    (tmp_path / "base" / WEIGHTS).unlink()
    for name in ("pytorch_model.bin", "model.pt"):
        (tmp_path / "base" / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(Refused, match="cannot be loaded") as refusal:
        open_base(str(tmp_path / "base"))
    assert "\n" not in str(refusal.value) and not (tmp_path / "sprung").exists()
    pickle.loads((tmp_path / "base" / "pytorch_model.bin").read_bytes())
    assert (tmp_path / "sprung").exists(), "the trap works"


def test_a_sound_checkpoint_with_more_experts_than_tensors_is_none_of_these(tmp_path: Path) -> None:
    sizes = {"vocab_size": 96, "hidden_size": 16, "intermediate_size": 24, "moe_intermediate_size": 8}
    heads = {"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2, "num_experts": 128}
    config = AutoConfig.for_model("qwen3_moe", **sizes, **heads)
    AutoModelForCausalLM.from_config(config, trust_remote_code=False).save_pretrained(tmp_path)
    check_folder(tmp_path)


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda whole: whole[: len(whole) // 2],
    "a header of a terabyte": lambda whole: (1 << 40).to_bytes(8, "little") + whole[8:],
    "more after its end": lambda whole: whole + bytes(1000),
    "a pickle": lambda whole: pickle.dumps({"weights": list(whole[:100])}),
    "nothing": lambda whole: b"",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_kind_69_broken_safetensors_are_refused_in_one_line(kind: str, tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path / "base")
    weights = tmp_path / "base" / WEIGHTS
    weights.write_bytes(BROKEN[kind](weights.read_bytes()))
    with pytest.raises(Refused, match="cannot be loaded") as refusal:
        open_base(str(tmp_path / "base"))
    assert "\n" not in str(refusal.value)


def changed(tiny_folder: Path, folder: Path, name: str, change: Callable[[dict[str, Any]], object]) -> str:
    """Copy the tiny checkpoint, change one of its JSON files, and return the folder."""
    shutil.copytree(tiny_folder, folder, dirs_exist_ok=True)
    document = json.loads((folder / name).read_text()) if (folder / name).exists() else {}
    change(document)
    (folder / name).write_text(json.dumps(document))
    return str(folder)


EVIL = 'from pathlib import Path\nPath(__file__).with_name("sprung").touch()\n'


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("known", [True, False])
def test_a_checkpoint_runs_no_code_and_asks_nobody_whether_it_may(
    name: str, known: bool, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = ("AutoConfig", "AutoModelForCausalLM", "AutoTokenizer")
    code = {"auto_map": {each: "evil.Evil" for each in classes}}
    kind = {} if known else {"model_type": "evil", "tokenizer_class": "Evil"}
    folder = changed(tiny_folder, tmp_path / "base", name, lambda document: document.update(code | kind))
    (tmp_path / "base" / "evil.py").write_text(EVIL)
    terminal, ours = os.openpty()  # somebody, or `yes`, who answers every question with y
    os.write(terminal, b"y\n" * 20)
    with os.fdopen(ours, "r+b", buffering=0) as keyboard:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(keyboard))
        monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question at a terminal"))
        with suppress(Refused):
            open_base(folder)
    os.close(terminal)
    assert not list(tmp_path.rglob("sprung")) and "evil" not in sys.modules


DEEP = "[" * 100_000 + "]" * 100_000
CONFIGURATIONS: dict[str, tuple[str, Callable[[dict[str, Any]], object], str]] = {
    "a billion layers": ("config.json", lambda c: c.update(n_layer=10**9), "n_layer.* is 1,000,000,000"),
    "more layers than weights": ("config.json", lambda c: c.update(n_layer=3), "weights lack"),
    "a billion labels": ("config.json", lambda c: c.update(num_labels=10**9), "num_labels.* is 1,000,000,000"),
    "a layer of a terabyte": ("config.json", lambda c: c.update(n_inner=10**6, n_embd=2**18), "config.json"),
    "a width as text": ("config.json", lambda c: c.update(n_embd="wide"), "config.json"),
    "no kind of model": ("config.json", lambda c: c.pop("model_type"), "config.json"),
    "a rule of the wrong type": (
        "config.json",
        lambda c: c.update(layer_norm_epsilon="small"),
        "expected float, got str",
    ),
    "a vocabulary beyond the model": ("tokenizer.json", lambda t: t["model"]["vocab"].update(a=10**6), "tokens"),
    "a token that is no text": ("tokenizer_config.json", lambda t: t.update(eos_token=[1]), "tokenizer files"),
    "a panic of the tokenizer": (
        "tokenizer.json",
        lambda t: t["model"].update(continuing_subword_prefix="longer than a token"),
        "tokenizer files",
    ),
}


@pytest.mark.parametrize("kind", CONFIGURATIONS)
def test_a_configuration_that_cannot_be_is_refused_in_one_line_that_names_it(
    kind: str, tiny_folder: Path, tmp_path: Path
) -> None:
    name, change, reason = CONFIGURATIONS[kind]
    with pytest.raises(Refused, match=f"cannot be loaded .*{reason}.*give another one") as refusal:
        open_base(changed(tiny_folder, tmp_path / "base", name, change))
    assert "\n" not in str(refusal.value)


def with_weights(tiny_folder: Path, folder: Path, change: Callable[[dict[str, Tensor]], object]) -> str:
    """Copy the tiny checkpoint, change its tensors, and return the folder."""
    shutil.copytree(tiny_folder, folder)
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    return str(folder)


MLP = "transformer.h.1.mlp.c_fc.weight"
TENSORS: dict[str, tuple[Callable[[dict[str, Tensor]], object], str]] = {
    "one is missing": (lambda t: t.pop(MLP), f"lack '{MLP}'"),
    "one too many": (lambda t: t.update({"score.weight": torch.ones(1, 32)}), "have 'score.weight', which a causal"),
    "one of another size": (lambda t: t.update({MLP: torch.ones(32, 96)}), r"of size \[32, 96\], .* for \[32, 128\]"),
    "one that is not finite": (lambda t: t[MLP].fill_(float("nan")), "not finite"),
}


@pytest.mark.parametrize("kind", TENSORS)
def test_weights_that_are_not_those_of_the_configuration_are_named(
    kind: str, tiny_folder: Path, tmp_path: Path
) -> None:
    change, reason = TENSORS[kind]
    with pytest.raises(Refused, match=f"cannot be loaded .*{reason}.*give another one") as refusal:
        open_base(with_weights(tiny_folder, tmp_path / "base", change))
    assert "\n" not in str(refusal.value)


def test_masks_that_old_versions_saved_are_no_fault(tiny: Base, tiny_folder: Path, tmp_path: Path) -> None:
    masks = {f"transformer.h.0.attn.{name}": torch.ones(3) for name in ("bias", "masked_bias")}
    folder = with_weights(tiny_folder, tmp_path / "base", lambda tensors: tensors.update(masks))
    assert open_base(folder).fingerprint == tiny.fingerprint


def test_a_published_reward_model_is_no_base(tiny: Base, tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path / "base")
    new_reward_model(tiny.model, 0).save(tmp_path / "base")
    with pytest.raises(Refused, match="it is a reward model"):
        open_base(str(tmp_path / "base"))


def test_a_checkpoint_without_a_tokenizer_says_so(tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path / "base")
    for path in (tmp_path / "base").glob("tokenizer*"):
        path.unlink()
    with pytest.raises(Refused, match="has no tokenizer"):
        open_base(str(tmp_path / "base"))


def test_the_generation_settings_of_a_folder_change_nothing(tiny: Base, tiny_folder: Path, tmp_path: Path) -> None:
    odd = {"eos_token_id": [5, 14], "min_p": 0.9, "num_beams": 3, "suppress_tokens": [14], "stop_strings": ["."]}
    folder = changed(tiny_folder, tmp_path / "base", "generation_config.json", lambda settings: settings.update(odd))
    found: list[list[list[int]]] = []

    def ask(queries: list[list[int]], responses: list[list[int]]) -> list[float | None]:
        found.append(responses)
        return [1.0] * len(responses)

    for base in (tiny, open_base(folder, RULES)):
        scores_of_base(base.model, ask, [[5, 9, 300], [8]], base.prompts(RULES), 256)
    assert found[0] == found[1] and {len(response) for response in found[1]} == {RULES.response_tokens}


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json"])
@pytest.mark.parametrize(
    "content", [DEEP, f'{{"a": {DEEP}}}', '{"a": ' * 60 + "1" + "}" * 60, "{", "[1]", "\xff", None]
)
def test_a_file_that_is_no_plain_json_is_named(
    name: str, content: str | None, tiny_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_folder, tmp_path / "base")
    (tmp_path / "base" / name).unlink()
    if content is None:
        os.mkfifo(tmp_path / "base" / name)
    else:
        (tmp_path / "base" / name).write_text(content, encoding="latin-1")
    with pytest.raises(Refused, match="cannot be loaded") as refusal:
        open_base(str(tmp_path / "base"))
    assert name in str(refusal.value) and "\n" not in str(refusal.value)


ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    7,
    10**9,
    10**30,
    0.5,
    "x",
    "",
    "\ud800",
    [],
    [1, 2],
    {"a": 1},
    [[[[[[1]]]]]],
)
EXTRA = {
    "config.json": ("num_labels", "quantization_config", "rope_scaling", "architectures", "pruned_heads", "dtype"),
    "generation_config.json": ("custom_generate", "cache_implementation", "compile_config", "max_length"),
    "tokenizer_config.json": ("added_tokens_decoder", "chat_template", "padding_side", "extra_special_tokens"),
    "special_tokens_map.json": ("eos_token", "additional_special_tokens"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXTRA)
def test_whatever_value_a_setting_has_a_checkpoint_works_or_is_refused(
    name: str, tiny_folder: Path, tmp_path: Path
) -> None:
    draw = random.Random(0)
    path = tiny_folder / name
    settings = [*(json.loads(path.read_text()) if path.exists() else {}), *EXTRA[name]]
    for setting in settings:
        for value in draw.sample(ODD, 3):
            folder = changed(tiny_folder, tmp_path / "base", name, lambda document: document.update({setting: value}))  # noqa: B023
            try:
                base = open_base(folder, RULES)
            except Refused as refusal:
                assert "\n" not in str(refusal) and len(str(refusal)) < 500
            else:
                assert base.prompts(RULES).encode("A text.")
            shutil.copytree(tiny_folder, folder, dirs_exist_ok=True)
            if not path.exists():
                (tmp_path / "base" / name).unlink()
