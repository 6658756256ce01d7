"""The state of each round of a campaign, derived from what is published. No status is stored."""

from collections import Counter
from enum import StrEnum
from typing import NamedTuple

from data.batches.index import batches
from data.evaluation.deciding import facts_by_decision
from data.labels.decisions import batch_statuses, decision_log
from data.labels.label_sets import label_set_document
from data.labels.table import added, deliveries
from data.runs.champion import decisions_about, promotion_log
from data.runs.registry import runs
from data.store import Store


class RoundState(StrEnum):
    """The next step of a round."""

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
    since: str  # time of the last event of this round


def rounds(store: Store, campaign: str) -> list[Round]:
    """Return every round that has a batch, oldest first."""
    labels: Counter[str] = Counter()
    touched: dict[str, str] = {}  # time of the last event of each batch
    for entry in deliveries(store, campaign):
        labels[entry["batch"]] += added(entry)
        touched[entry["batch"]] = entry["at"]
    for decision in decision_log(store, campaign):
        touched[decision["batch"]] = max(decision["at"], touched.get(decision["batch"], ""))
    promoted = promotion_log(store, campaign)
    leader = promoted[-1]["run"] if promoted else None
    # A round shows the champion, else its newest run that the gate has decided about, else its newest run.
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
        measured = facts_by_decision(store, campaign, run)["win_rate"] if run is not None else None
        win_rate = measured["value"] if measured else None
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
        times = [batch.manifest["ended"] for batch in mine] + [touched[b] for b in ids if b in touched]
        since = run.manifest["ended"] if run is not None else max(times)
        result.append(
            Round(
                number, ids, questions, answered, run.facts["run"] if run else None, win_rate, state, waits_for, since
            )
        )
    return result


def round_of(store: Store, campaign: str, label_set: str) -> int:
    """Return the last round whose labels a label set contains."""
    document = label_set_document(store, campaign, label_set)
    return max(int(batch["round"]) for batch in batches(store, campaign) if batch["batch"] in document["batches"])


def round_to_export(store: Store, campaign: str) -> int:
    """Return the first round that has no labels yet."""
    return next((r.number for r in rounds(store, campaign) if not r.labels), len(rounds(store, campaign)) + 1)


def round_to_finish(store: Store, campaign: str) -> int:
    """Return the first round that has no run yet."""
    return next((r.number for r in rounds(store, campaign) if r.run is None), len(rounds(store, campaign)) + 1)


def round_to_decide(store: Store, campaign: str) -> int | None:
    """Return the first round whose run was stopped before the gate; None if there is none."""
    return next((r.number for r in rounds(store, campaign) if r.state == RoundState.GATE), None)


def last_asked(store: Store, campaign: str, number: int) -> str | None:
    """Return the newest batch of a round that was not rejected; None if the round needs a new batch."""
    decided = batch_statuses(store, campaign)
    names = [batch for r in rounds(store, campaign) if r.number == number for batch in r.batches]
    valid = [name for name in names if name not in decided or decided[name].decision != "reject"]
    return valid[-1] if valid else None
