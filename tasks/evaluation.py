"""Prefect tasks that end a run: evaluate its policy, write its report, and promote it where the gate holds."""

import json
import random
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from prefect import task
from prefect.cache_policies import NO_CACHE

from data import cord
from data.campaign import Campaign, Labelers
from data.canonical import Document, content_id
from data.lineage import Node, ancestors, lineage
from data.notices import notify
from data.promotions import champion, history, promote, run_prefix, runs
from data.publication import publish, read_manifest
from data.report import run_report
from data.rounds import round_of
from data.simulated import choose
from data.statistics import Proportion, proportion
from data.store import open_store
from models.base import open_base
from models.ensemble import load_ensemble
from models.evaluation import behaviour, pairs
from models.job import Job
from models.steps import query_tokens
from models.tokens import decode
from tasks.stage import say


def judge(judges: Labelers, zero_shot: list[str], policy: list[str]) -> list[bool]:
    """Show every pair in random order to a judge; True where the policy's response is preferred."""
    preferred = []
    for number, pair in enumerate(zip(zero_shot, policy, strict=True)):
        policy_at = random.Random(f"{judges.seed} {number}").randrange(2)
        options = pair if policy_at else pair[::-1]
        preferred.append(choose(judges, f"pair {number}", options).best == policy_at)
    return preferred


@task(cache_policy=NO_CACHE)
def evaluate_policy(store_uri: str, campaign: Campaign, run: str, seed: int) -> str:
    """Measure a run's policy beside zero-shot on test queries; publish it and return where.

    Other settings or another seed make another evaluation beside it.
    """
    store = open_store(store_uri)
    question = content_id([campaign.evaluation.model_dump(), campaign.judges and campaign.judges.model_dump(), seed])
    prefix = f"{run_prefix(campaign.name, run)}/evaluations/{question}"
    if read_manifest(store, prefix) is not None:
        say("evaluation: published")
        return prefix
    began = datetime.now(UTC)
    base = open_base(campaign.base, campaign.text.positions)
    trained = read_manifest(store, f"{run_prefix(campaign.name, run)}/policy")
    scorer = read_manifest(store, f"{run_prefix(campaign.name, run)}/reward")
    assert trained is not None and scorer is not None
    policy = open_base(str(trained.folder()))
    queries = query_tokens(campaign, base, "test")
    queries = random.Random(0).sample(queries, min(len(queries), campaign.evaluation.queries * 5 // 4))
    say(f"evaluation: policy and zero-shot on {campaign.evaluation.queries:,} test queries")
    score, best_of = load_ensemble(scorer.folder()), campaign.evaluation.best_of
    found = pairs(policy.model, base, score, queries, campaign.text, seed, best_of)[: campaign.evaluation.queries]
    measured = behaviour(policy.model, base, queries[: campaign.evaluation.queries], campaign.text, seed)
    scores = score.scores(found).mean(0)
    texts = [[decode(base.tokenizer, tokens) for tokens in (pair.query, *pair.responses)] for pair in found]
    query, zero_shot, *others = (list(column) for column in zip(*texts, strict=True))
    columns: dict[str, object] = {"query": query, "zero_shot": zero_shot, "zero_shot_score": scores[:, 0].tolist()}
    win_rates: dict[str, Proportion | None] = {}
    for index, (system, responses) in enumerate(zip(("policy", "best_of"), others, strict=False), 1):
        preferred = None if campaign.judges is None else judge(campaign.judges, zero_shot, responses)
        win_rates[system] = None if preferred is None else proportion(sum(preferred), len(preferred))
        columns |= {system: responses, f"{system}_score": scores[:, index].tolist()}
        columns[f"{system}_preferred"] = pa.array([None] * len(found) if preferred is None else preferred, pa.bool_())
        if win_rates[system] is not None:
            name = {"policy": f"{measured.kl:.1f} nats a sequence", "best_of": f"the base's best of {best_of}"}[system]
            say(f"evaluation: win rate over zero-shot {win_rates[system]}, {name}")
    table = pa.table(columns)
    with tempfile.TemporaryDirectory() as scratch:
        pq.write_table(table, Path(scratch) / "pairs.parquet")
        facts = {
            "pairs": len(found),
            **{
                {"policy": "win_rate", "best_of": "best_of_win_rate"}[system]: rate and rate._asdict()
                for system, rate in win_rates.items()
            },
            "kl": measured.kl,
            "kl_standard_error": measured.kl_standard_error,
            "valid": measured.valid,
        }
        inputs = {"run": run, "base": base.fingerprint, "policy": policy.fingerprint, "seed": seed}
        files: dict[str, Path | bytes] = {"pairs.parquet": Path(scratch) / "pairs.parquet"}
        publish(store, prefix, "evaluation", files, inputs=inputs, facts=facts, began=began)
    return prefix


@task(cache_policy=NO_CACHE)
def publish_run(job: Job, evaluation: str) -> None:
    """Write the metrics table and the report of a run, and publish the run: from here on it is finished."""
    store, campaign, run = job.open(), job.campaign, job.run
    label_set, seed, prefix = job.label_set, job.seed, run_prefix(campaign.name, run)
    if read_manifest(store, prefix) is not None:
        return
    began = datetime.now(UTC)
    steps = {name: read_manifest(store, f"{prefix}/{name}") for name in ("reward", "policy")}
    steps["evaluation"] = read_manifest(store, evaluation)
    done = {name: step for name, step in steps.items() if step is not None}
    histories = {name: json.loads(done[name].path("history.json").read_text()) for name in ("reward", "policy")}
    facts: Document = {
        "run": run,
        "round": round_of(store, campaign.name, label_set),
        "label_set": label_set,
        "labels": done["reward"]["train_labels"] + done["reward"]["held_out_labels"],
        "base": campaign.base,
        "seed": seed,
        "reward_accuracy": done["reward"]["accuracy"],
        "reward_accuracy_chance": done["reward"]["chance"],
        "win_rate": done["evaluation"]["win_rate"],
        "best_of_win_rate": done["evaluation"].manifest["facts"].get("best_of_win_rate"),
        "kl_nats_per_seq": done["evaluation"]["kl"],
        "valid": done["evaluation"]["valid"],
        "recipe": campaign.recipe(),
        "campaign": campaign.model_dump(mode="json"),
    }
    pairs_table = pq.read_table(done["evaluation"].path("pairs.parquet"))
    with tempfile.TemporaryDirectory() as scratch:
        metrics = Path(scratch) / "metrics.parquet"
        pq.write_table(metrics_table(histories), metrics)
        earlier = [(published["round"], published["win_rate"]) for published in runs(store, campaign.name)]
        graph, this = lineage(store, campaign.name), Node(run, "run", "", (label_set, campaign.base))
        origin = ancestors(graph, this)
        scored = done["reward"].manifest["facts"]
        pulls = [each for each in cord.pulls(store) if each.pull.scope == f"run:{run}"]
        report = run_report(campaign, facts, scored, histories, pairs_table.to_pylist(), earlier, origin, pulls)
        files: dict[str, Path | bytes] = {"metrics.parquet": metrics, "report.html": report.encode()}
        inputs = {"label_set": label_set, "seed": seed}
        inputs |= {name: step.prefix for name, step in done.items()}
        publish(store, prefix, "run", files, inputs=inputs, facts=facts, began=began)


def metrics_table(histories: dict[str, list[dict[str, float]]]) -> pa.Table:
    """Return every metric of every step as one long table: stage, step, name, value."""
    rows = [
        {"stage": stage, "step": step, "name": name, "value": float(value)}
        for stage, history in histories.items()
        for step, metrics in enumerate(history)
        for name, value in metrics.items()
    ]
    schema = pa.schema([("stage", pa.string()), ("step", pa.int64()), ("name", pa.string()), ("value", pa.float64())])
    return pa.Table.from_pylist(rows, schema=schema)


@task(cache_policy=NO_CACHE)
def promote_if_better(store_uri: str, campaign: Campaign, run: str, evaluation: str) -> bool:
    """Promote a run whose win rate clears the campaign's gate with its lower bound; return whether it is champion."""
    store = open_store(store_uri)
    if any(entry["run"] == run for entry in history(store, campaign.name)):
        return champion(store, campaign.name) == run  # decided before; a rollback of it stands
    published = read_manifest(store, evaluation)
    assert published is not None
    if published["win_rate"] is None:
        say("promotion: nobody judged the policy, so it waits for andon promote")
        return False
    win_rate, gate = Proportion(**published["win_rate"]), campaign.promotion.win_rate_above
    if win_rate.low <= gate:
        say(f"promotion: no, the win rate's lower bound {win_rate.low:.3f} does not clear {gate}")
        return False
    promote(store, campaign.name, run, f"win rate over zero-shot {win_rate} clears {gate}")
    told = {"campaign": campaign.name, "run": run}
    notify("promotion", f"{campaign.name}: {run} is champion, win rate over zero-shot {win_rate}", told)
    say(f"promotion: {run} is champion")
    return True
