"""The summarization campaigns end to end: references first, then reward model and policy from what they made.

The fixture is openings of famous public-domain texts, each with a summary of our own.
"""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from data.batches.index import batches
from data.batches.schema import read_key
from data.campaign import load_campaign
from data.campaign.queries import load_queries
from data.paths import run_prefix
from data.store import LocalStore
from data.store.manifest import read_manifest
from flows.batch_round import batch_round
from flows.evaluate import evaluate
from models.lm.base import open_base
from models.ppo.policy import PolicyModel
from models.reward.model import load_reward_model

PASSAGES = Path(__file__).parents[1] / "fixtures" / "passages"
LABELERS = {"prefers": "positive", "count": 4, "noise": 0.2, "slot_bias": 0.0, "error_rate": 0.0, "seed": 1}
SMALL: dict[str, Any] = {
    "text": {
        "queries": str(PASSAGES),
        "query_tokens": 64,
        "response_tokens": 24,
        "query_ends_at": ".",
        "truncate_at": ".",
        "truncate_after": 8,
        "temperature": 0.8,
    },
    "batch": {"questions": 8},
    "supervised": {"batch": 4, "lr": 1e-3, "validation_share": 0.3},
    "reward": {"batch": 4, "normalisation_samples": 64, "lr": 1e-3, "held_out_share": 0.4},
    "policy": {"episodes": 32, "batch": 16, "micro_batch": 8, "value_model": "separate"},
    "evaluation": {"queries": 4},
    "labelers": LABELERS,
    "judges": LABELERS | {"seed": 2},
}


def toml(settings: dict[str, Any], table: str = "") -> str:
    """Write settings as TOML: JSON's scalars are TOML's."""
    own = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items() if not isinstance(value, dict))
    inner = {key: value for key, value in settings.items() if isinstance(value, dict)}
    head = f"[{table}]\n" if table else ""
    return head + own + "".join(toml(value, f"{table}.{key}".lstrip(".")) for key, value in inner.items())


@pytest.fixture(params=["tldr", "cnndm"])
def summaries(request: pytest.FixtureRequest, tiny_folder: Path, tmp_path: Path) -> Path:
    """A shipped summarization campaign with its supervised preset, as a user's own file of a test's size."""
    campaign = load_campaign(request.param, "supervised", {"base": str(tiny_folder), **SMALL})
    path = tmp_path / f"{request.param}.toml"
    path.write_text(toml(campaign.model_dump(mode="json", exclude_none=True)))
    return path


@pytest.mark.flow
@pytest.mark.usefixtures("prefect")
def test_reward_model_and_policy_start_from_what_the_references_made(
    summaries: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    store = LocalStore(tmp_path / "store")
    run = batch_round(str(summaries), str(tmp_path / "store"))
    assert run is not None
    name = summaries.stem
    tuned, scorer, policy = (
        read_manifest(store, f"{run_prefix(name, run)}/{step}") for step in ("supervised", "reward", "policy")
    )
    assert tuned is not None and scorer is not None and policy is not None
    assert tuned["validation_loss"] < tuned["validation_loss_of_base"], "it learned from the references"
    finished = read_manifest(store, run_prefix(name, run))
    assert finished is not None
    assert set(pq.read_table(finished.path("metrics.parquet"))["stage"].to_pylist()) == {
        "supervised",
        "reward",
        "policy",
    }
    start = open_base(str(tuned.folder()))
    assert start.fingerprint == scorer.manifest["inputs"]["base"] == policy.manifest["inputs"]["base"]
    (batch,) = batches(store, name)
    written = {sample["policy"] for row in read_key(batch.path("key/samples.parquet")) for sample in row["samples"]}
    assert written == {open_base(str(tiny_folder)).fingerprint}


@pytest.mark.flow
@pytest.mark.usefixtures("prefect")
def test_speeches_are_summarized_and_copied_starts_are_told_apart(tiny_folder: Path, tmp_path: Path) -> None:
    small = {name: SMALL[name] for name in ("batch", "reward")} | {"evaluation": {"queries": 30, "best_of": 0}}
    small["policy"] = SMALL["policy"] | {"value_model": "head", "responses_per_query": 1}
    changes = {"base": str(tiny_folder), "text": {"query_tokens": 60, "response_tokens": 24}, **small}
    campaign = load_campaign("speeches", "demo", changes)
    path, uri = tmp_path / "speeches.toml", str(tmp_path / "store")
    path.write_text(toml(campaign.model_dump(mode="json", exclude_none=True)))
    assert batch_round(str(path), uri)
    published = read_manifest(LocalStore(tmp_path / "store"), evaluate(str(path), uri, systems=["zero-shot", "lead-3"]))
    assert published is not None
    lead, zero_shot = (published.manifest["facts"]["texts"][system] for system in ("lead-3", "zero-shot"))
    assert lead["copied_start_after_a_preamble"] == lead["copied_start_without"] == 1
    assert zero_shot["copied_start"] < 0.1
    (contest,) = published.manifest["facts"]["contests"]
    assert contest["win_rate"]["value"] < 0.1, "judges who read the passage prefer what stands in it"


@pytest.mark.parametrize("name", ["tldr", "cnndm"])
def test_the_policy_and_only_the_policy_reads_the_affixes(name: str, tiny_folder: Path) -> None:
    base = open_base(str(tiny_folder))
    campaign = load_campaign(name, "supervised", SMALL)
    prompts = base.prompts(campaign.text)
    for query in load_queries(campaign.text, "train"):
        tokens = prompts.encode(query.text)
        if tokens is None:
            continue
        around = base.tokenizer.decode(prompts.surround(tokens))
        assert around == campaign.text.prefix + base.tokenizer.decode(tokens) + campaign.text.suffix
        assert query.text.startswith(base.tokenizer.decode(tokens))


def test_a_separate_value_model_starts_as_the_reward_model(tiny_folder: Path, tmp_path: Path) -> None:
    from models.reward.model import new_reward_model

    base = open_base(str(tiny_folder))
    scorer = new_reward_model(base.model, 0)
    with torch.no_grad():
        scorer.gain.fill_(1.7)
        scorer.bias.fill_(-0.4)
    scorer.save(tmp_path)
    loaded = load_reward_model(tmp_path)
    policy = PolicyModel(base.model, loaded)
    queries, tokens = torch.randint(5, 90, (3, 6)), torch.randint(5, 90, (3, 2, 8))
    # The value of the state before token t is the score of the response up to the token before it.
    expected = loaded(queries, tokens[..., :5])
    torch.testing.assert_close(policy.values(queries, tokens)[..., 5], expected, atol=1e-5, rtol=1e-4)
