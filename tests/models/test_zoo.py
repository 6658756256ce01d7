"""Models of many types are sampled and trained as they are: windows, states, scales, biases and caps are theirs.

`python -m bench.checks.zoo` checks all types, also saved and as reward models, and writes docs/bases.md.
"""

import re
from pathlib import Path

import pytest

from models.lm.head import body_of
from models.lm.layout import layout_of
from models.lm.rows import Rows
from tests.support.zoo import BOUND, TYPES, judge, sampled, tiny_model, tiny_tokenizer

ROOT = Path(__file__).resolve().parents[2]

SHARED = (
    *("gpt2", "gpt_neox", "gpt_bigcode", "gptj", "codegen", "opt", "falcon", "ctrl", "stablelm", "persimmon"),
    *("llama", "mistral", "mixtral", "ministral", "qwen2", "qwen3", "qwen3_moe", "smollm3", "starcoder2", "nemotron"),
    *("gemma", "gemma2", "gemma3", "gemma3_text", "gemma3n_text", "gemma4", "gemma4_text", "phi", "phi3", "phimoe"),
    *("olmo", "olmo2", "olmo3", "olmoe", "granite", "granitemoe", "cohere", "cohere2", "deepseek_v3", "glm4"),
    *("llama4", "exaone4", "gpt_oss", "nanochat", "minicpm3", "biogpt"),
)
OWN_ROWS = ("gpt_neo", "bloom", "qwen3_5", "qwen3_5_text", "lfm2", "recurrent_gemma", "mamba", "deepseek_v32")


@pytest.mark.parametrize("kind", (*SHARED, *OWN_ROWS))
def test_log_probs_are_those_of_the_model_itself(kind: str) -> None:
    model = tiny_model(kind)
    for name, difference in sampled(model, model, (40, 5), 2, 8).differences.items():
        assert difference.abs().max() <= BOUND, name
    assert (layout_of(body_of(model)).rows is Rows.SHARED) == (kind in SHARED)


@pytest.mark.parametrize("kind", ["mistral", "qwen3_5"])
def test_a_saved_base_and_its_reward_model_are_those_of_the_model_itself(kind: str, tmp_path: Path) -> None:
    verdict = judge(kind, tiny_tokenizer(), tmp_path)
    assert verdict.right, verdict


@pytest.mark.parametrize(("kind", "reason"), [("bart", "part of a larger model"), ("bert", "depend on later tokens")])
def test_a_type_that_is_no_decoder_is_refused(kind: str, reason: str, tmp_path: Path) -> None:
    verdict = judge(kind, tiny_tokenizer(), tmp_path)
    assert reason in verdict.reason and "\n" not in verdict.refusal


def test_the_page_of_bases_has_every_type() -> None:
    page = (ROOT / "docs" / "bases.md").read_text("utf-8")
    assert set(re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE)) == set(TYPES), "run python -m bench.checks.zoo"
    assert "## Wrong" not in page and "## Traceback" not in page
