"""Prefect tasks of the evaluation: systems answer the same test queries, are judged, measured and published."""

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from prefect import task
from prefect.cache_policies import NO_CACHE

from data.campaign import Campaign
from data.campaign.queries import edition
from data.canonical import Document, content_id
from data.console import say
from data.errors import Refused
from data.evaluation.deciding import evaluation_of, evaluations_by
from data.evaluation.facts import EvaluationFacts, PolicyMeasures, StoredRating
from data.evaluation.judgements import JUDGEMENTS, Judgement, PairResult, judge_pairs, pair_results, ratings, result_for
from data.evaluation.systems import CHAMPION, ZERO_SHOT, System, find_systems, last_reward_run, other_rules
from data.measures.intervals import StoredEstimate
from data.measures.text_metrics import measure_texts, score_gaps
from data.paths import evaluations_prefix, run_prefix
from data.reports.evaluation import evaluation_report, rule_warnings
from data.runs.champion import decisions_about, opponent_of, promotion_log
from data.store import Store, open_store
from data.store.manifest import publish, read_manifest
from models.evaluation.systems import Clock, SystemResponses, run_systems
from models.lm.base import Base, open_base

POLICY = "policy"


@task(cache_policy=NO_CACHE)
def evaluate_systems(store_uri: str, campaign: Campaign, names: Sequence[str], seed: int) -> str:
    """Evaluate systems on a campaign's test queries, publish the evaluation with a report, and return its prefix."""
    store, clock = open_store(store_uri), Clock()
    systems = find_systems(store, campaign, names)
    base = clock.models(lambda: open_base(campaign.base, campaign.text))
    runs = [system.run for system in systems if system.run]
    scorer = runs[-1] if runs else last_reward_run(store, campaign)
    question = [
        base.fingerprint,
        [list(system) for system in systems],
        scorer,
        *campaign.measuring(),
        *edition(campaign.text),
        seed,
    ]
    prefix = f"{evaluations_prefix(campaign.name)}/{content_id(question)}"
    if read_manifest(store, prefix) is not None:
        say("evaluation: published")
        return prefix
    _evaluate(store, campaign, base, systems, scorer, seed, prefix, clock)
    return prefix


@task(cache_policy=NO_CACHE)
def evaluate_policy(store_uri: str, campaign: Campaign, run: str, seed: int, again: bool = False) -> str:
    """Evaluate a run's policy against zero-shot, the champion to beat, and best of n; return the prefix.

    Other settings, another seed or another champion give another evaluation. If a retrain is repeated with the same
    settings, a run that was promoted before is not evaluated again. With `again` it is, against the present champion.
    """
    store, clock = open_store(store_uri), Clock()
    leader, prefix = opponent_of(store, campaign.name, run), run_prefix(campaign.name, run)
    decisions = decisions_about(promotion_log(store, campaign.name), run)
    promoted = read_manifest(store, prefix) is not None and any(entry["kind"] == "promote" for entry in decisions)
    if promoted and not again and evaluations_by(store, campaign.name, run, campaign):
        say("evaluation: published")
        return evaluation_of(store, campaign.name, run, campaign).prefix
    systems = [System(ZERO_SHOT, "model"), System(POLICY, "model", run, f"{prefix}/policy")]
    if leader is not None:
        systems.append(System(CHAMPION, "model", leader, f"{run_prefix(campaign.name, leader)}/policy"))
    if n := campaign.evaluation.best_of:
        systems.append(System(f"best-of-{n}", "best of", run, None, n))
    question = [[list(system) for system in systems], *campaign.measuring(), *edition(campaign.text), seed]
    where = f"{prefix}/evaluations/{content_id(question)}"
    if read_manifest(store, where) is not None:
        say("evaluation: published")
        return where
    base = clock.models(lambda: open_base(campaign.base, campaign.text))
    start = read_manifest(store, f"{prefix}/supervised") or read_manifest(store, f"{prefix}/policy")
    if start is not None and start.manifest["inputs"]["base"] != base.fingerprint:
        raise Refused(f"{run} was trained from another base than {campaign.base}. Give its base with --base.")
    _evaluate(store, campaign, base, systems, run, seed, where, clock)
    return where


def _evaluate(
    store: Store,
    campaign: Campaign,
    base: Base,
    systems: Sequence[System],
    scorer: str | None,
    seed: int,
    prefix: str,
    clock: Clock,
) -> None:
    began, names = datetime.now(UTC), [system.name for system in systems]
    say(f"evaluation: {', '.join(names)} on {campaign.evaluation.queries:,} test queries")
    answered = run_systems(store, campaign, base, systems, scorer, campaign.evaluation.queries, seed, clock)
    differing_rules = other_rules(store, campaign, systems)
    for line in rule_warnings(differing_rules):
        say(f"evaluation: {line}")
    queries = {query.query_id: query.text for query in answered.queries}
    judgements = [] if campaign.judges is None else list(judge_pairs(campaign.judges, queries, answered.texts()))
    results, anchor = pair_results(judgements), ZERO_SHOT if ZERO_SHOT in names else names[0]
    facts: EvaluationFacts = {
        "systems": names,
        "runs": {system.name: system.run for system in systems if system.run},
        "anchor": anchor,
        "pairs": len(queries),
        "seed": seed,
        "rules": content_id(campaign.measuring()),
        "other_rules": differing_rules,
        "contests": [result.document() for result in results],
        "elo": _ratings(judgements, names, anchor),
        "texts": _measured(campaign, answered),
        "scores": score_gaps(answered.scores, anchor) if answered.scores else {},
        "behaviours": {name: each.document() for name, each in answered.behaviours.items()},
        **_of_policy(names, results, answered),
        **clock.facts(),
    }
    inputs: Document = {"base": base.fingerprint, "scorer": scorer, "seed": seed}
    inputs["models"] = {system.name: system.model for system in systems if system.model}
    with tempfile.TemporaryDirectory() as scratch:
        responses, answers = Path(scratch) / "responses.parquet", Path(scratch) / "judgements.parquet"
        table = answered.table()
        pq.write_table(table, responses)
        files: dict[str, Path | bytes] = {"responses.parquet": responses}
        if judgements:
            rows = [judgement._asdict() for judgement in judgements]
            pq.write_table(pa.Table.from_pylist(rows, JUDGEMENTS), answers)
            files["judgements.parquet"] = answers
        if POLICY not in names:  # a run has a report of its own
            files["report.html"] = evaluation_report(campaign, facts, table.to_pylist()).encode()
        publish(store, prefix, "evaluation", files, inputs=inputs, facts=dict(facts), began=began)


def _measured(campaign: Campaign, answered: SystemResponses) -> Mapping[str, Mapping[str, float | None]]:
    sources = [query.text for query in answered.queries]
    references = [query.reference for query in answered.queries]
    return {
        name: measure_texts(sources, texts, references, campaign.text.cleaning)
        for name, texts in answered.texts().items()
    }


def _of_policy(names: Sequence[str], results: Sequence[PairResult], answered: SystemResponses) -> PolicyMeasures:
    """Return the measures of a policy that its run and the promotion gate need; none without a policy."""
    if POLICY not in names:
        return {}
    best = next((name for name in names if name.startswith("best-of-")), "")
    over_zero_shot = _rate(results, POLICY, ZERO_SHOT)
    over_champion = _rate(results, POLICY, CHAMPION)
    best_of_over_zero_shot = _rate(results, best, ZERO_SHOT)
    behaviour = answered.behaviours[POLICY].document()
    return {
        "win_rate": over_zero_shot,
        "champion_win_rate": over_champion,
        "best_of_win_rate": best_of_over_zero_shot,
        **behaviour,
    }


def _rate(results: Sequence[PairResult], system: str, other: str) -> StoredEstimate | None:
    """Return the win rate of a system over another, and log it; None if they were not judged."""
    result = result_for(results, system, other)
    if result is None:
        return None
    say(f"evaluation: win rate of {system} over {other} {result.win_rate}")
    return result.win_rate.document()


def _ratings(judgements: Sequence[Judgement], names: Sequence[str], anchor: str) -> dict[str, StoredRating]:
    """Return the Elo of every system as it is stored; empty without judgements."""
    if not judgements:
        return {}
    rated = ratings(judgements, names, anchor)
    return {name: {"elo": each.elo, "low": each.low, "high": each.high} for name, each in rated.items()}
