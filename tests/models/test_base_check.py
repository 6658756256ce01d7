"""The base check passes for bases of all kinds, and sees each known bug of a learner on a base where it matters."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM

from data.base_check.facts import BaseCheck, CheckCode, findings
from data.campaign import Campaign
from data.errors import Refused
from models.base_check.check import check_base
from models.base_check.material import ragged
from models.lm import head, layout, prompts, rows, sampling, shared_query
from models.lm.base import Base, fingerprint, open_base
from models.lm.masks import Masks
from models.lm.rows import Layout, Rows
from tests.conftest import MadeOnce
from tests.support.bases import BEGINNING, short_campaign, write_base
from tests.support.command import QUERIES

Code = CheckCode
Break = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture
def folder(made_once: MadeOnce) -> Callable[[str], Path]:
    """Return the folder of the base of a kind, which is made once."""
    return lambda kind: made_once(f"base-{kind}", partial(write_base, kind))


def checked(folder: Path, tiny_folder: Path) -> BaseCheck:
    campaign = short_campaign(folder, tiny_folder / QUERIES)
    return check_base(open_base(campaign.base, campaign.text), campaign)


def codes(check: BaseCheck) -> list[CheckCode]:
    """Return the codes of the findings, the largest first."""
    return [comparison["code"] for comparison in findings(check["comparisons"])]


@pytest.mark.parametrize("kind", ["gpt2", BEGINNING, "phi", "mistral", "lfm2"])
def test_the_learner_is_right_for_bases_of_different_kinds(
    kind: str, folder: Callable[[str], Path], tiny_folder: Path
) -> None:
    check = checked(folder(kind), tiny_folder)
    assert codes(check) == [] and check["passed"]
    assert {comparison["code"] for comparison in check["comparisons"]} == set(CheckCode)
    assert len(check["samples"]) == 6 and check["sampled"] == 64 and check["own_queries"]
    assert all(stage["seconds"] >= 0 and stage["peak_bytes"] > 0 for stage in check["stages"])


def test_a_check_changes_neither_the_base_nor_the_random_numbers(tiny: Base, tiny_folder: Path) -> None:
    campaign, before = short_campaign(tiny_folder, tiny_folder / QUERIES), torch.get_rng_state()
    assert check_base(tiny, campaign)["passed"]
    assert fingerprint(tiny.model) == tiny.fingerprint and torch.equal(torch.get_rng_state(), before)


def _measured_as(change: Callable[[Any], Any]) -> Break:
    """Break what is measured about a head when a model is opened."""
    measured = head._measured
    return lambda patch: patch.setattr(head, "_measured", lambda model: change(measured(model)))


def _bias_over_temperature(patch: pytest.MonkeyPatch) -> None:
    def logits(model: Any, states: Tensor, temperature: float = 1.0) -> Tensor:
        scores: Tensor = model.get_output_embeddings()(states / temperature)
        return scores

    patch.setattr(sampling, "logits", logits)


def _one_mask_in_one_row(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(layout, "_measured", lambda body: Layout(Rows.SHARED, Masks.ONE, body.config.hidden_size))


def _shifted(module: Any) -> Break:
    positions = shared_query.query_positions

    def broken(patch: pytest.MonkeyPatch) -> None:
        _one_mask_in_one_row(patch)  # or the layout is another one, which needs no positions
        patch.setattr(module, "query_positions", lambda queries: positions(queries) + 1)

    return broken


def _no_beginning(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(prompts, "begin", lambda tokenizer: [])


def _missing_weights_are_random(patch: pytest.MonkeyPatch) -> None:
    load: Any = AutoModelForCausalLM.from_pretrained

    def lenient(*args: Any, **options: Any) -> Any:
        loaded = load(*args, **options)
        return (loaded[0], {**loaded[1], "missing_keys": []}) if options.get("output_loading_info") else loaded

    patch.setattr(AutoModelForCausalLM, "from_pretrained", lenient)


MUTANTS: dict[str, tuple[str, Break, set[CheckCode]]] = {
    "scale dropped": ("granite", _measured_as(lambda h: replace(h, scale=1.0)), {Code.SAMPLING, Code.TRAINING}),
    "softcap dropped": ("gemma2", _measured_as(lambda h: replace(h, cap=None)), {Code.SAMPLING, Code.TRAINING}),
    "bias not over temperature": ("phi", _bias_over_temperature, {Code.SAMPLING, Code.DRAWS}),
    "window ignored": ("mistral", _one_mask_in_one_row, {Code.SAMPLING}),
    "state leaks by convolution": ("lfm2", _one_mask_in_one_row, {Code.SAMPLING, Code.TRAINING, Code.SCORES}),
    "state leaks by recurrence": ("qwen3_5_text", _one_mask_in_one_row, {Code.NEIGHBORS, Code.TRAINING, Code.SCORES}),
    "BOS missing": (BEGINNING, _no_beginning, {Code.BEGINNING}),
    "position shifted in sampling": ("gpt2", _shifted(rows), {Code.SAMPLING}),
    "position shifted in training": ("gpt2", _shifted(shared_query), {Code.TRAINING, Code.POLICY, Code.SCORES}),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_broken_learner_is_found(
    mutant: str, folder: Callable[[str], Path], tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, broken, expected = MUTANTS[mutant]
    broken(monkeypatch)
    check = checked(folder(kind), tiny_folder)
    assert not check["passed"] and expected <= set(codes(check)), codes(check)


@pytest.mark.parametrize("tensor", ["mlp.c_fc.weight"])
def test_random_weights_for_missing_ones_are_found(
    tensor: str, folder: Callable[[str], Path], tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_base("gpt2", tmp_path / "base")
    file = tmp_path / "base" / "model.safetensors"
    save_file({name: each for name, each in load_file(file).items() if tensor not in name}, file, {"format": "pt"})
    _missing_weights_are_random(monkeypatch)
    assert codes(checked(tmp_path / "base", tiny_folder)) == [CheckCode.CHECKPOINT]


def test_whatever_a_library_raises_is_a_finding(tiny: Base, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("layer_types\nof this kind")

    monkeypatch.setattr("models.base_check.logprobs.response_logprobs", fail)
    check = check_base(tiny, short_campaign(tiny_folder, tiny_folder / QUERIES))
    assert codes(check) == [CheckCode.TRAINING]
    (finding,) = findings(check["comparisons"])
    assert finding["error"] is None and "layer_types" in finding["detail"] and "\n" not in finding["detail"]


def test_the_queries_have_ragged_lengths_and_one_has_all_tokens(tiny: Base, campaign: Campaign) -> None:
    queries = [[1, 2, 3], [4, 5, 6, 7, 8], [9, 10]]
    assert [len(query) for query in ragged(tiny.prompts(campaign.text), queries)] == [64, 3, 2, 1]


def test_a_machine_without_memory_says_nothing_about_the_base(
    tiny: Base, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr("models.base_check.logprobs.response_logprobs", fail)
    with pytest.raises(Refused, match="more memory or disk space than this machine has"):
        check_base(tiny, short_campaign(tiny_folder, tiny_folder / QUERIES))


def test_without_the_campaigns_queries_the_base_is_checked_on_another_text(
    tiny: Base, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object) -> None:
        raise Refused("The dataset cannot be read.")

    monkeypatch.setattr("models.base_check.material.read_queries", offline)
    check = check_base(tiny, short_campaign(tiny_folder, tiny_folder / QUERIES))
    assert check["passed"] and not check["own_queries"]
    assert check["samples"][0]["query"].startswith("It was late in the evening.")
