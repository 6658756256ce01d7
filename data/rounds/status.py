"""Where a campaign stands, read off what is published: there is no status to keep in step with reality."""

from collections import Counter
from enum import StrEnum
from typing import NamedTuple

from data.batches.index import batches
from data.labels.decisions import batch_statuses, decision_log
from data.labels.label_sets import label_set_document
from data.labels.table import added, deliveries
from data.runs.champion import decisions_about
from data.runs.champion import promotion_log as promotions
from data.runs.registry import runs
from data.store import Store


class RoundState(StrEnum):
    """What a round waits for."""

    LABELS = "labels"
    DECISION = "decision"
    RETRAIN = "retrain"
    GATE = "gate"
    DONE = "done"


class Round(NamedTuple):
    """One turn of the loop so far."""

    number: int
    batches: list[str]
    questions: int
    labels: int
    run: str | None
    win_rate: float | None
    state: RoundState
    waits_for: str  # the state for people
    since: str  # when that began: the last thing that happened to this round


def rounds(store: Store, campaign: str) -> list[Round]:
    """Return every round that has a batch, oldest first."""
    labels: Counter[str] = Counter()
    touched: dict[str, str] = {}  # when something happened to a batch last
    for entry in deliveries(store, campaign):
        labels[entry["batch"]] += added(entry)
        touched[entry["batch"]] = entry["at"]
    for decision in decision_log(store, campaign):
        touched[decision["batch"]] = max(decision["at"], touched.get(decision["batch"], ""))
    promoted = promotions(store, campaign)
    leader = promoted[-1]["run"] if promoted else None
    # of several runs of a round the champion, else the newest that the gate has decided about, else the newest
    weighed = sorted(
        runs(store, campaign),
        key=lambda run: (bool(decisions_about(promoted, run.facts["run"])), run.facts["run"] == leader),
    )
    finished = {run.facts["round"]: run for run in weighed}
    published = batches(store, campaign)
    decided = batch_statuses(store, campaign)
    result = []
    for number in sorted({batch["round"] for batch in published}):
        mine = [batch for batch in published if batch["round"] == number]
        answered = sum(labels[batch["batch"]] for batch in mine)
        run = finished.get(number)
        win_rate = run.facts["win_rate"]["value"] if run is not None and run.facts["win_rate"] else None
        if run is not None:
            state, waits_for = (
                RoundState.DONE,
                f"nothing: its policy is {'' if run.facts['run'] == leader else 'not '}champion",
            )
            if not decisions_about(promoted, run.facts["run"]):  # stopped between its end and the gate
                state, waits_for = RoundState.GATE, "the gate, which has not decided about its run (andon retrain)"
        else:
            state, waits_for = (RoundState.RETRAIN, "a retrain") if answered else (RoundState.LABELS, "labels")
            if held := [
                status for status in (decided[b["batch"]] for b in mine if b["batch"] in decided) if not status.counts
            ]:
                state, waits_for = RoundState.DECISION, f"a decision: {held[0].why} (andon decide)"
        ids, questions = [batch["batch"] for batch in mine], sum(batch["questions"] for batch in mine)
        happened = [batch.manifest["ended"] for batch in mine] + [touched[b] for b in ids if b in touched]
        since = run.manifest["ended"] if run is not None else max(happened)
        result.append(
            Round(
                number, ids, questions, answered, run.facts["run"] if run else None, win_rate, state, waits_for, since
            )
        )
    return result


def round_of(store: Store, campaign: str, label_set: str) -> int:
    """Return the last round that a label set holds labels of."""
    document = label_set_document(store, campaign, label_set)
    return max(int(batch["round"]) for batch in batches(store, campaign) if batch["batch"] in document["batches"])


def round_to_export(store: Store, campaign: str) -> int:
    """Return the first round that has no labels yet."""
    return next((r.number for r in rounds(store, campaign) if not r.labels), len(rounds(store, campaign)) + 1)


def round_to_finish(store: Store, campaign: str) -> int:
    """Return the first round that has no run yet."""
    return next((r.number for r in rounds(store, campaign) if r.run is None), len(rounds(store, campaign)) + 1)


def round_to_decide(store: Store, campaign: str) -> int | None:
    """Return the first round whose run was stopped before the gate; None where there is none."""
    return next((r.number for r in rounds(store, campaign) if r.state == RoundState.GATE), None)


def last_asked(store: Store, campaign: str, number: int) -> str | None:
    """Return the newest batch of a round that was not rejected; None where it has to ask."""
    decided = batch_statuses(store, campaign)
    asked = [batch for r in rounds(store, campaign) if r.number == number for batch in r.batches]
    left = [batch for batch in asked if batch not in decided or decided[batch].decision != "reject"]
    return left[-1] if left else None
