"""Prefect task that publishes a run: its metrics as one table, and the report."""

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from prefect import task
from prefect.cache_policies import NO_CACHE

from data.paths import run_prefix
from data.reports.run import run_report
from data.reports.run_facts import gather
from data.rounds.status import round_of
from data.runs.registry import RunFacts
from data.store.manifest import publish, read_manifest
from models.training.job import Job


@task(cache_policy=NO_CACHE)
def publish_run(job: Job, evaluation: str) -> None:
    """Write the metrics table and the report of a run, and publish the run, which makes it finished."""
    store, campaign, prefix = job.fenced_store, job.campaign, run_prefix(job.campaign.name, job.run)
    if read_manifest(store, prefix) is not None:
        return
    began = datetime.now(UTC)
    steps = {name: read_manifest(store, f"{prefix}/{name}") for name in ("supervised", "reward", "policy")}
    steps["evaluation"] = read_manifest(store, evaluation)
    done = {name: step for name, step in steps.items() if step is not None}
    measured = done["evaluation"].manifest["facts"]
    facts: RunFacts = {
        "run": job.run,
        "round": round_of(store, campaign.name, job.label_set),
        "label_set": job.label_set,
        "labels": done["reward"]["train_labels"] + done["reward"]["held_out_labels"],
        "base": campaign.base,
        "seed": job.seed,
        "reward_accuracy": done["reward"]["accuracy"],
        "reward_accuracy_chance": done["reward"]["chance"],
        "win_rate": measured["win_rate"],
        "champion_win_rate": measured["champion_win_rate"],
        "best_of_win_rate": measured["best_of_win_rate"],
        "kl_nats_per_seq": measured["kl"],
        "score": measured["scores"]["policy"][0],
        "valid": measured["valid"],
        "recipe": campaign.recipe(),
        "campaign": campaign.model_dump(mode="json"),
        "changes": job.changes,
    }
    report_input = gather(store, campaign, facts, done)
    with tempfile.TemporaryDirectory() as scratch:
        metrics = Path(scratch) / "metrics.parquet"
        pq.write_table(metrics_table(report_input.histories), metrics)
        files: dict[str, Path | bytes] = {
            "metrics.parquet": metrics,
            "report.html": run_report(campaign, report_input).encode(),
        }
        inputs = {"label_set": job.label_set, "seed": job.seed}
        inputs |= {name: step.prefix for name, step in done.items()}
        publish(store, prefix, "run", files, inputs=inputs, facts=dict(facts), began=began)


def metrics_table(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> pa.Table:
    """Return every metric of every step as one long table: stage, step, name, value."""
    rows = [
        {"stage": stage, "step": step, "name": name, "value": float(value)}
        for stage, history in histories.items()
        for step, metrics in enumerate(history)
        for name, value in metrics.items()
    ]
    schema = pa.schema([("stage", pa.string()), ("step", pa.int64()), ("name", pa.string()), ("value", pa.float64())])
    return pa.Table.from_pylist(rows, schema=schema)
