"""A campaign's past without any training: rounds, runs and evaluations as a store holds them, for those who read it."""

import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data.campaign import Campaign
from data.evaluation.gate import decide_by_gate
from data.evaluation.judgements import JUDGEMENTS
from data.labels.label_sets import freeze
from data.measures.intervals import StoredEstimate
from data.reports.run_facts import RunReportInput
from data.store.manifest import Publication, publish
from tests.support.vendor import Round

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Made = Callable[..., Publication]


def rate(value: float, low: float) -> StoredEstimate:
    return {"value": value, "low": low, "high": 0.9, "n": 512}


def gathered(campaign: Campaign, win_rate: StoredEstimate | None, text: str = "A fine day.") -> RunReportInput:
    """What a store might know of a run: two systems, equal but for their scores."""
    facts: Any = {
        "run": "run-x1",
        "round": 2,
        "label_set": "ls1",
        "labels": 800,
        "base": "embedded",
        "seed": 1,
        "reward_accuracy": rate(0.5, 0.4),
        "reward_accuracy_chance": 0.25,
        "win_rate": win_rate,
        "kl_nats_per_seq": 7.5,
        "score": 1.0,
        "valid": 0.9,
        "recipe": campaign.recipe(),
        "campaign": campaign.model_dump(mode="json"),
    }
    normalised = {"n": 64, "mean": 0.1, "std": 1.2, "gain": 0.8, "bias": -0.1}
    reward: Any = {
        "train_labels": 720,
        "chance": 0.25,
        "loss": 1.1,
        "base_score_mean": 0.0,
        "base_score_std": 1.0,
    }
    reward["calibration"] = [0.05, [[0.1, 0.15, 40], [0.5, 0.4, 20]]]
    step = {"episodes": 64, "score": 0.5, "kl": 3.0, "valid": 0.5, "kl_coefficient": 0.1, "entropy": 2.0}
    histories = {
        "policy": [step | {"episodes": 64 * n, "kl": 0.2 * n, "score": 0.04 * n} for n in range(1, 50)],
        "reward": [{"labels": 8 * n, "loss": 1.3, "accuracy": 0.4} for n in range(1, 50)],
    }
    texts = {"words": 4.0, "rouge1": None, "rouge2": None, "rougeL": None, "copied_share": 0.25}
    contests = [{"left": "zero-shot", "right": "policy", "win_rate": rate(0.2, 0.1), "equal_length": rate(0.3, 0.2)}]
    evaluation: Any = {
        "systems": ["zero-shot", "policy"],
        "anchor": "zero-shot",
        "runs": {"policy": "run-x1"},
        "pairs": 20,
        "seed": 1,
        "win_rate": win_rate,
        "contests": contests if win_rate else [],
        "elo": {},
        "texts": {"zero-shot": texts, "policy": texts},
        "scores": {"zero-shot": (0.0, 0.0), "policy": (1.0, 0.1)},
        "behaviours": {"policy": {"kl": 7.5, "kl_standard_error": 0.5, "valid": 0.9}},
    }
    rows = [
        {"query_id": f"q{n}", "query": text, "system": system, "response": f"{text} {system}", "score": 0.1 * n}
        for n in range(20)
        for system in ("zero-shot", "policy")
    ]
    judged = [
        {"query": f"q{n}", "left": "zero-shot", "right": "policy", "labeler": "j", "won": float(n % 2)}
        for n in range(20)
    ]
    return RunReportInput(
        facts,
        reward | {"normalised_after": [normalised], "models": 1},
        histories,
        evaluation,
        responses=rows,
        judgements=judged if win_rate else [],
        earlier=[(1, rate(0.6, 0.5))],
    )


def finished(sent: Round, campaign: Campaign, run: str, low: float, beside: str | None = None) -> Publication:
    """Publish a run on the labels of a delivered batch as if it were trained, let the gate decide, and return it."""
    made, label_set, prefix = (
        gathered(campaign, rate(0.8, low)),
        str(freeze(sent.store, campaign.name)),
        _of(campaign, run),
    )
    champion = {"champion_win_rate": rate(0.7, low) if beside else None}
    runs = {"policy": run} | ({"champion": beside} if beside else {})
    steps: dict[str, tuple[dict[str, Path | bytes], Any]] = {
        step: ({"history.json": json.dumps(made.histories[step]).encode()}, made.reward)
        for step in ("reward", "policy")
    }
    with tempfile.TemporaryDirectory() as scratch:
        responses, judgements = Path(scratch) / "responses.parquet", Path(scratch) / "judgements.parquet"
        pq.write_table(pa.Table.from_pylist(list(made.responses)), responses)
        pq.write_table(pa.Table.from_pylist(list(made.judgements), JUDGEMENTS), judgements)
        tables: dict[str, Path | bytes] = {"responses.parquet": responses, "judgements.parquet": judgements}
        steps["evaluation"] = tables, {**made.evaluation, "runs": runs, **champion}
        done = {
            step: publish(sent.store, f"{prefix}/{step}", step, files, inputs={}, facts=dict(facts), began=NOW)
            for step, (files, facts) in steps.items()
        }
    inputs = {step: published.prefix for step, published in done.items()}
    facts = {**made.facts, "run": run, "label_set": label_set, "round": 1, **champion}
    files: dict[str, Path | bytes] = {"report.html": b"<!doctype html>"}
    published = publish(sent.store, prefix, "run", files, inputs=inputs, facts=facts, began=NOW)
    decide_by_gate(sent.store, campaign, run, label_set, done["evaluation"])
    return published


def _of(campaign: Campaign, run: str) -> str:
    return f"campaigns/{campaign.name}/runs/{run}"


def weighed(
    sent: Round, label_set: str | None, run: str, low: float | None, beside: str | None, champion_low: float
) -> Publication:
    """Publish a run with the lower bounds of its win rates, undecided, and return its evaluation."""
    prefix = f"campaigns/c/runs/{run}"
    facts = {
        "runs": {"policy": run} | ({"champion": beside} if beside else {}),
        "win_rate": None if low is None else bound(low),
        "champion_win_rate": bound(champion_low) if beside else None,
    }
    where = f"{prefix}/evaluations/{beside or 'alone'}"
    evaluation = publish(sent.store, where, "evaluation", {"a": b"a"}, inputs={}, facts=facts, began=NOW)
    about = {"run": run, "label_set": label_set, "round": 1, "base": "b", "win_rate": None}
    publish(sent.store, prefix, "run", {"b": b"b"}, inputs={"evaluation": where}, facts=about, began=NOW)
    return evaluation


def bound(low: float) -> dict[str, float]:
    return {"value": (low + 1) / 2, "low": low, "high": 1.0, "n": 500}
