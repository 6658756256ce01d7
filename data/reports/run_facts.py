"""What a store knows of a run: the material of its report, whenever somebody asks."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from data.batches.index import batches
from data.campaign import Campaign
from data.cord.entries import Pulled
from data.evaluation.facts import EvaluationFacts, evaluation_facts
from data.evaluation.gate import Verdict, gate
from data.evaluation.human_evaluation import HumanResult, human_results
from data.labels.label_sets import label_agreement, read_label_set
from data.measures.agreement import PairAgreement
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
    """One step of a run: when it began, how long it took, on what."""

    name: str
    began: str
    seconds: float
    device: str


class RunReportInput(NamedTuple):
    """All that a report says of a run."""

    facts: RunFacts  # what the run says of itself
    reward: RewardFacts
    histories: Mapping[str, Sequence[Mapping[str, float]]]  # metrics by step
    evaluation: EvaluationFacts
    responses: Rows = ()  # and what was answered in it
    judgements: Rows = ()
    verdict: Verdict | None = None
    decisions: Sequence[PromotionEntry] = ()  # about this run, in the log of promotions
    earlier: Sequence[tuple[int, Mapping[str, Any] | None]] = ()  # round and win rate of the runs before
    origin: Sequence[Node] = ()  # the run and all that it was made from
    pulls: Sequence[Pulled] = ()
    labels: Sequence[Scorecard] = ()  # the batches that it learned from, as they are now
    learned: Mapping[str, int] = {}  # by batch, the labels that it was given
    agreed: PairAgreement | None = None  # of their labelers; None if some labels do not name one best
    people: Sequence[HumanResult] = ()
    steps: Sequence[Step] = ()
    is_champion: bool = False


def gather(store: Store, campaign: Campaign, facts: RunFacts, steps: Mapping[str, Publication]) -> RunReportInput:
    """Gather what the store knows of a run, finished or about to be: `steps` are its published steps by name."""
    run, name, evaluation = facts["run"], campaign.name, steps["evaluation"]
    document, labels = read_label_set(store, name, facts["label_set"])
    before = [each for each in runs(store, name) if each.facts["run"] != run and each.facts["round"] <= facts["round"]]
    graph = lineage(store, name)
    node = graph.get(run, Node(run, "run", "", (facts["label_set"], facts["base"])))
    tables = {each: _rows(evaluation, f"{each}.parquet") for each in ("responses", "judgements")}
    return RunReportInput(
        facts=facts,
        reward=steps["reward"].manifest["facts"],
        histories={
            n: json.loads(s.path("history.json").read_text("utf-8"))
            for n, s in steps.items()
            if "history.json" in s.names()
        },
        evaluation=evaluation_facts(evaluation),
        responses=tables["responses"],
        judgements=tables["judgements"],
        verdict=gate(store, campaign, run, facts["label_set"], evaluation, opponent_of(store, name, run)),
        decisions=decisions_about(promotion_log(store, name), run),
        earlier=[(each.facts["round"], each.facts["win_rate"]) for each in before],
        origin=ancestors(graph, node),
        pulls=pulls_about(store, name, run),
        labels=[card for card in scorecards(store, name) if card.batch in document["batches"]],
        learned=Counter(label.batch_id for label in labels),
        agreed=label_agreement(labels, batches(store, name))
        if all(label.best_sample is not None for label in labels)
        else None,
        people=[each for each in human_results(store, name) if run in each.systems],
        steps=[_step(each, published) for each, published in steps.items()],
        is_champion=champion(store, name) == run,
    )


def _rows(published: Publication, name: str) -> Rows:
    rows: Rows = pq.read_table(published.path(name)).to_pylist() if name in published.names() else ()
    return rows


def _step(name: str, published: Publication) -> Step:
    manifest = published.manifest
    began, ended = (datetime.fromisoformat(manifest[each]) for each in ("began", "ended"))
    facts = manifest["facts"]
    device = " ".join(str(facts[each]) for each in ("device", "precision") if each in facts) or manifest["hardware"]
    return Step(name, manifest["began"][:16].replace("T", " "), (ended - began).total_seconds(), device)
