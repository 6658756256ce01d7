"""The scorecard of a batch: decisions, cost and time, read from the logs."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from data.batches.index import Batch, batches, key_rows
from data.batches.schema import TESTS
from data.canonical import Document
from data.errors import Refused
from data.labels.decisions import BatchStatus, assessments, batch_statuses
from data.labels.delivery import DeliveryEntry
from data.labels.log_entries import Assessment
from data.labels.table import Committed, active_labels, committed, deliveries, skips
from data.store import Store


class Scorecard(NamedTuple):
    """One batch: its vendor, the decision about it, its cost and its duration."""

    batch: str
    round: int
    vendor: str
    currency: str
    exported: str
    delivered: str | None  # time of the last delivery that added answers
    hours: float | None  # from the export to this time
    answers: int  # number of accepted answers, tests and copies included; these are paid
    quarantined: int
    duplicates: int
    skipped: int
    counted: int  # number of labels that are trained on, without tests and labels on hold
    cost: float
    cost_a_label: float | None
    status: BatchStatus | None
    assessment: Assessment | None


def scorecards(store: Store, campaign: str, price: float | None = None) -> list[Scorecard]:
    """Return the scorecard of every batch, oldest first. `price` of an answer replaces the campaign's."""
    entries = deliveries(store, campaign)
    assessed = assessments(store, campaign)
    decided = batch_statuses(store, campaign)
    return [
        _scorecard(store, batch, entries, price, decided.get(batch["batch"]), assessed.get(batch["batch"]))
        for batch in batches(store, campaign)
    ]


def _scorecard(
    store: Store,
    batch: Batch,
    entries: Sequence[DeliveryEntry],
    price: float | None,
    status: BatchStatus | None,
    assessment: Assessment | None,
) -> Scorecard:
    name = batch["batch"]
    mine = [entry for entry in entries if entry["batch"] == name]
    sums: Counter[str] = Counter()
    for entry in mine:
        sums.update({what: entry[what] for what in ("accepted", "quarantined", "duplicates")})
    named, more = skips(store, mine, name)
    vendor = batch.facts.get("campaign", {}).get("vendor", {})
    exported, arrived = batch.manifest["ended"], [entry["at"] for entry in mine if entry["accepted"]]
    cost = sums["accepted"] * (vendor.get("price", 0.0) if price is None else price)
    counted = sum(weight > 0 for _, weight in weighed(store, batch, entries, status))
    return Scorecard(
        batch=name,
        round=batch["round"],
        vendor=vendor.get("name", "unnamed"),
        currency=vendor.get("currency", ""),
        exported=exported,
        delivered=arrived[-1] if arrived else None,
        hours=_hours(exported, arrived[-1]) if arrived else None,
        answers=sums["accepted"],
        quarantined=sums["quarantined"],
        duplicates=sums["duplicates"],
        skipped=len(named) + more,
        counted=counted,
        cost=cost,
        cost_a_label=cost / counted if counted else None,
        status=status,
        assessment=assessment,
    )


def weighed(
    store: Store, batch: Batch, entries: Sequence[DeliveryEntry], status: BatchStatus | None
) -> list[tuple[Committed, float]]:
    """Return the active labels of a batch, each with its weight in training, which is 0 for tests."""
    tests = {row["question_id"] for row in key_rows(batch, tokens=False) if row["role"] in TESTS}
    labels = active_labels(committed(store, list(entries), batch["batch"]))
    counts = status is None or status.decision == "accept"
    weights = {} if status is None else status.weights
    return [
        (label, weights.get(label.labeler_id, 1.0) if counts and label.question_id not in tests else 0.0)
        for label in labels
    ]


def _hours(begin: str, end: str) -> float:
    return round((datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds() / 3600, 2)


def find_batch(store: Store, campaign: str, wanted: str | None) -> Batch:
    """Return a batch by its id or the first letters of one, or by default the batch with the newest answers.

    Raises Refused unless exactly one batch matches.
    """
    published = batches(store, campaign)
    if wanted is None:
        answered = [entry["batch"] for entry in deliveries(store, campaign)]
        matches = [batch for batch in published if batch["batch"] in answered[-1:]]
    else:
        matches = [batch for batch in published if batch["batch"].startswith(wanted)]
    if len(matches) != 1:
        offered = ", ".join(batch["batch"] for batch in published) or "none"
        raise Refused(f"Campaign {campaign} has no batch {wanted or 'with answers'} in {store.uri}; it has: {offered}.")
    return matches[0]


def written(labels: Sequence[Committed], rows: dict[str, Any], most: int = 40) -> list[Document]:
    """Return critiques and corrections by labelers, with the query and the chosen text."""
    with_text = [label for label in labels if label.critique or label.correction][:most]
    return [
        {
            "labeler": label.labeler_id,
            "query": rows[label.question_id]["query"],
            "best": None
            if label.best_sample is None
            else rows[label.question_id]["samples"][label.best_sample]["text"],
            "critique": label.critique,
            "correction": label.correction,
        }
        for label in with_text
    ]
