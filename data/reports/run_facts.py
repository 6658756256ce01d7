"""The data of a run's report, read from the store."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from data.batches.index import batches
from data.campaign import Campaign
from data.cord.entries import Pulled
from data.evaluation.deciding import facts_by_decision
from data.evaluation.facts import EvaluationFacts, evaluation_facts
from data.evaluation.gate import Verdict, gate
from data.evaluation.human_evaluation import HumanResult, human_results
from data.labels.label_sets import label_agreement, read_label_set
from data.measures.agreement import PairAgreement
from data.measures.intervals import StoredEstimate
from data.quality.scorecard import Scorecard, scorecards
from data.rounds.lineage import Node, ancestors, lineage
from data.runs.champion import PromotionEntry, champion, decisions_about, opponent_of, promotion_log
from data.runs.registry import RunFacts, runs
from data.runs.step_facts import RewardFacts
from data.runs.stops import pulls_about
from data.store import Store
from data.store.manifest import Publication

Rows = Sequence[Mapping[str, Any]]


class Step(NamedTuple):
    """One step of a run: its name, start, duration and device."""

    name: str
    began: str
    seconds: float
    device: str


class RunReportInput(NamedTuple):
    """All data of a run's report."""

    facts: RunFacts  # with the win rates of the evaluation that decides
    reward: RewardFacts
    histories: Mapping[str, Sequence[Mapping[str, float]]]  # metrics by step
    evaluation: EvaluationFacts
    responses: Rows = ()  # of the evaluation
    judgements: Rows = ()
    verdict: Verdict | None = None
    decisions: Sequence[PromotionEntry] = ()  # about this run, in the log of promotions
    earlier: Sequence[tuple[int, StoredEstimate | None]] = ()  # round and win rate of the runs before
    origin: Sequence[Node] = ()  # the run and everything it was made from
    pulls: Sequence[Pulled] = ()
    labels: Sequence[Scorecard] = ()  # the batches of its label set, as they are now
    learned: Mapping[str, int] = {}  # number of its labels by batch
    agreed: PairAgreement | None = None  # of its labelers; None if some labels do not name one best
    people: Sequence[HumanResult] = ()
    steps: Sequence[Step] = ()
    is_champion: bool = False


def gather(store: Store, campaign: Campaign, facts: RunFacts, steps: Mapping[str, Publication]) -> RunReportInput:
    """Return the data of the report of a run, which need not be published yet. `steps` are its steps by name."""
    run, name, evaluation = facts["run"], campaign.name, steps["evaluation"]
    document, labels = read_label_set(store, name, facts["label_set"])
    others = [other for other in runs(store, name) if other.facts["run"] != run]
    before = [facts_by_decision(store, name, other) for other in others if other.facts["round"] <= facts["round"]]
    graph = lineage(store, name)
    node = graph.get(run, Node(run, "run", "", (facts["label_set"], facts["base"])))

    return RunReportInput(
        facts=facts,
        reward=steps["reward"].manifest["facts"],
        histories={
            step: json.loads(published.path("history.json").read_text("utf-8"))
            for step, published in steps.items()
            if "history.json" in published.names()
        },
        evaluation=evaluation_facts(evaluation),
        responses=_rows(evaluation, "responses.parquet"),
        judgements=_rows(evaluation, "judgements.parquet"),
        verdict=gate(store, campaign, run, facts["label_set"], evaluation, opponent_of(store, name, run)),
        decisions=decisions_about(promotion_log(store, name), run),
        earlier=[(other["round"], other["win_rate"]) for other in before],
        origin=ancestors(graph, node),
        pulls=pulls_about(store, name, run),
        labels=[card for card in scorecards(store, name) if card.batch in document["batches"]],
        learned=Counter(label.batch_id for label in labels),
        agreed=label_agreement(labels, batches(store, name))
        if all(label.best_sample is not None for label in labels)
        else None,
        people=[result for result in human_results(store, name) if run in result.systems],
        steps=[_step(step, published) for step, published in steps.items()],
        is_champion=champion(store, name) == run,
    )


def _rows(published: Publication, name: str) -> Rows:
    rows: Rows = pq.read_table(published.path(name)).to_pylist() if name in published.names() else ()
    return rows


def _step(name: str, published: Publication) -> Step:
    manifest = published.manifest
    seconds = (datetime.fromisoformat(manifest["ended"]) - datetime.fromisoformat(manifest["began"])).total_seconds()
    facts = manifest["facts"]
    device = " ".join(str(facts[key]) for key in ("device", "precision") if key in facts) or manifest["hardware"]
    return Step(name, manifest["began"][:16].replace("T", " "), seconds, device)
