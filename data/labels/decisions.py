"""The log of what was decided about the labels of each batch, by rule and by people; what counts is read from it."""

from collections.abc import Mapping
from math import inf
from typing import Literal, NamedTuple

from data.canonical import Document, canonical_json
from data.errors import Refused
from data.paths import quality_log_prefix
from data.store import Store, log

Decision = Literal["accept", "hold", "reject"]


class BatchStatus(NamedTuple):
    """What holds for a batch now."""

    decision: Decision
    why: str
    weights: Mapping[str, float]  # of the answers of each labeler; 0 for those that do not count
    by_person: bool = False  # or by the rules alone

    @property
    def counts(self) -> bool:
        """Whether any of its labels do."""
        return self.decision == "accept" and (any(self.weights.values()) or not self.weights)

    @property
    def held(self) -> tuple[str, ...]:
        """The labelers whose answers do not count, whatever becomes of the batch."""
        return tuple(sorted(name for name, weight in self.weights.items() if weight == 0))


def decision_log(store: Store, campaign: str) -> list[Document]:
    return log.entries(store, quality_log_prefix(campaign))


def record_assessment(store: Store, campaign: str, batch: str, assessment: Document) -> Document:
    """Append an assessment of a batch, unless the last one of it says the same; return the one that stands."""
    document = assessment | {"batch": batch}
    standing: list[Document] = []

    def decide(so_far: list[Document]) -> Document | None:
        last = [entry for entry in so_far if entry["batch"] == batch and entry["kind"] == "assessment"][-1:]
        if last and canonical_json({name: last[0].get(name) for name in document}) == canonical_json(document):
            standing[:] = last
            return None
        standing[:] = [document]
        return document

    log.append(store, quality_log_prefix(campaign), decide)
    return standing[0]


def override(
    store: Store, campaign: str, batch: str, decision: Decision, reason: str, labeler: str | None, by: str = ""
) -> None:
    """Record a person's decision about a batch or one labeler in it; it stands until other faults are found."""

    if not reason.strip():
        raise Refused("A decision needs a reason: say what was found.")

    def decide(so_far: list[Document]) -> Document:
        assessed = [entry for entry in so_far if entry["batch"] == batch and entry["kind"] == "assessment"]
        if not assessed:
            raise Refused(f"There are no answers to a batch {batch} of campaign {campaign} to decide about.")
        if labeler is not None and labeler not in assessed[-1]["labelers"]:
            raise Refused(f"Labeler {labeler} answered nothing in batch {batch} of campaign {campaign}.")
        faults = _faults(assessed[-1], labeler)
        overridden = {"batch": batch, "labeler": labeler, "decision": decision, "reason": reason, "faults": faults}
        return {"kind": "override", "by": by, **overridden}

    log.append(store, quality_log_prefix(campaign), decide)


def batch_statuses(store: Store, campaign: str) -> dict[str, BatchStatus]:
    """Return what holds for every batch that was assessed."""
    entries = decision_log(store, campaign)
    found = {}
    for batch in dict.fromkeys(entry["batch"] for entry in entries):
        mine = [entry for entry in entries if entry["batch"] == batch]
        found[batch] = _status_of(mine)
    return found


def labels_seen(store: Store, campaign: str) -> dict[str, float]:
    """Return how many labels of each batch its newest assessment has seen.

    Old assessments do not say how many: they have seen all.
    """
    assessments = [entry for entry in decision_log(store, campaign) if entry["kind"] == "assessment"]
    return {entry["batch"]: entry.get("labels", inf) for entry in assessments}


def _status_of(entries: list[Document]) -> BatchStatus:
    assessment = [entry for entry in entries if entry["kind"] == "assessment"][-1]
    decision, why = assessment["decision"], "; ".join(finding["fault"] for finding in assessment["findings"])
    decisions = {name: labeler["decision"] for name, labeler in assessment["labelers"].items()}
    by_person = False
    for entry in entries:
        if entry["kind"] != "override":
            continue
        if entry["decision"] == "accept" and not set(_faults(assessment, entry["labeler"])) <= set(entry["faults"]):
            continue
        if entry["labeler"] is not None:
            decisions[entry["labeler"]] = entry["decision"]
        else:
            decision, why, by_person = entry["decision"], entry["reason"], True
    weights = {
        name: labeler["weight"] if decisions[name] == "accept" else 0.0
        for name, labeler in assessment["labelers"].items()
    }
    if decision == "accept" and weights and not any(weights.values()):
        why = "all its labelers are on hold"
    return BatchStatus(decision, why, weights, by_person)


def _faults(assessment: Document, labeler: str | None) -> list[str]:
    """Return what was found of a batch, or of one labeler in it."""
    if labeler is not None:
        return list(assessment["labelers"].get(labeler, {}).get("faults", ()))
    return sorted(finding["fault"] for finding in assessment["findings"])
