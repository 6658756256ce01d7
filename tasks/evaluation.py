"""Prefect tasks of the evaluation: systems side by side on the same test queries, judged, measured and published."""

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
    """Set systems of a campaign side by side on its test queries; publish that with a report, and return where."""
    store, clock = open_store(store_uri), Clock()
    systems = find_systems(store, campaign, names)
    base = clock.models(lambda: open_base(campaign.base, campaign.text))
    of_systems = [system.run for system in systems if system.run]
    scorer = of_systems[-1] if of_systems else last_reward_run(store, campaign)
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
    """Measure a run's policy beside zero-shot, the champion it has to beat, and best of n; return where that lies.

    Other settings, another seed or another champion make another evaluation. A retrain that is run again does not
    evaluate a run that was promoted once again by the same settings; `again` does, beside the present champion.
    """
    store, clock = open_store(store_uri), Clock()
    leader, prefix = opponent_of(store, campaign.name, run), run_prefix(campaign.name, run)
    decided = decisions_about(promotion_log(store, campaign.name), run)
    promoted = read_manifest(store, prefix) is not None and any(each["kind"] == "promote" for each in decided)
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
        raise Refused(f"{run} was trained from another base than {campaign.base} is now: give the one it came from.")
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
    apart = other_rules(store, campaign, systems)
    for line in rule_warnings(apart):
        say(f"evaluation: {line}")
    queries = {query.query_id: query.text for query in answered.queries}
    judgements = [] if campaign.judges is None else list(judge_pairs(campaign.judges, queries, answered.texts()))
    found, anchor = pair_results(judgements), ZERO_SHOT if ZERO_SHOT in names else names[0]
    facts: EvaluationFacts = {
        "systems": names,
        "runs": {system.name: system.run for system in systems if system.run},
        "anchor": anchor,
        "pairs": len(queries),
        "seed": seed,
        "rules": content_id(campaign.measuring()),
        "other_rules": apart,
        "contests": [contest.document() for contest in found],
        "elo": _ratings(judgements, names, anchor),
        "texts": _measured(campaign, answered),
        "scores": score_gaps(answered.scores, anchor) if answered.scores else {},
        "behaviours": {name: each.document() for name, each in answered.behaviours.items()},
        **_of_policy(names, found, answered),
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
            pq.write_table(pa.Table.from_pylist([each._asdict() for each in judgements], JUDGEMENTS), answers)
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


def _of_policy(names: Sequence[str], found: Sequence[PairResult], answered: SystemResponses) -> PolicyMeasures:
    """Return what a run and the promotion gate read of the evaluation of a policy; nothing of other evaluations."""
    if POLICY not in names:
        return {}
    best = next((name for name in names if name.startswith("best-of-")), "")
    over_zero_shot = _rate(found, POLICY, ZERO_SHOT)
    over_champion = _rate(found, POLICY, CHAMPION)
    best_of_over_zero_shot = _rate(found, best, ZERO_SHOT)
    behaviour = answered.behaviours[POLICY].document()
    return {
        "win_rate": over_zero_shot,
        "champion_win_rate": over_champion,
        "best_of_win_rate": best_of_over_zero_shot,
        **behaviour,
    }


def _rate(found: Sequence[PairResult], system: str, other: str) -> StoredEstimate | None:
    """Return how often a system is preferred to another, and show it; None if nobody judged the two."""
    result = result_for(found, system, other)
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
