"""The log of decisions about the labels of each batch, by rule and by people. What counts is read from it.

A person's acceptance is in force while nothing is found that was not found when the person decided: the codes of the
newest assessment must be a subset of those recorded with the override (data/labels/findings.py).
"""

from collections.abc import Mapping
from math import inf
from typing import NamedTuple, cast

from data.canonical import canonical_json
from data.errors import Refused
from data.escape import is_blank
from data.labels.findings import code_of
from data.labels.log_entries import Assessment, AssessmentFacts, Decision, Entry, Override, StoredEntry, read_entry
from data.paths import quality_log_prefix
from data.store import Store, log

DECISIONS = log.Log[Entry](cast(type[Entry], StoredEntry), read_entry)


class BatchStatus(NamedTuple):
    """The decision in force for a batch, by rule or by a person."""

    decision: Decision
    why: str  # for people
    weights: Mapping[str, float]  # weight of the answers of each labeler; 0 if they do not count
    by_person: bool = False  # False: by the rules alone

    @property
    def counts(self) -> bool:
        """Whether any label of the batch counts."""
        return self.decision == "accept" and (any(self.weights.values()) or not self.weights)

    @property
    def held(self) -> tuple[str, ...]:
        """The labelers whose answers do not count, even if the batch is accepted."""
        return tuple(sorted(name for name, weight in self.weights.items() if weight == 0))


def decision_log(store: Store, campaign: str) -> list[Entry]:
    """Return the log of a campaign, oldest first, older entries in today's shape."""
    return DECISIONS.entries(store, quality_log_prefix(campaign))


def assessments(store: Store, campaign: str) -> dict[str, Assessment]:
    """Return the newest assessment of every batch."""
    return {entry["batch"]: entry for entry in decision_log(store, campaign) if entry["kind"] == "assessment"}


def record_assessment(store: Store, campaign: str, batch: str, facts: AssessmentFacts, labels: int) -> Assessment:
    """Append an assessment of a batch with this number of labels to the log, and return it.

    If the last assessment of the batch is equal, append nothing and return the last one.
    """
    document = cast(Assessment, {**facts, "batch": batch, "labels": labels})
    in_force: list[Assessment] = []

    def decide(so_far: list[Entry]) -> Assessment | None:
        last = [entry for entry in so_far if entry["kind"] == "assessment" and entry["batch"] == batch][-1:]
        if last and canonical_json({name: last[0].get(name) for name in document}) == canonical_json(document):
            in_force[:] = last
            return None
        in_force[:] = [document]
        return document

    DECISIONS.append(store, quality_log_prefix(campaign), decide)
    return in_force[0]


def override(
    store: Store, campaign: str, batch: str, decision: Decision, reason: str, labeler: str | None, by: str = ""
) -> None:
    """Record a person's decision about a batch or one of its labelers. It is in force until other faults are found."""

    if is_blank(reason):
        raise Refused("A decision needs a reason. Write what you found after --reason.")

    def decide(so_far: list[Entry]) -> Override:
        entries = [entry for entry in so_far if entry["batch"] == batch]
        assessed = [entry for entry in entries if entry["kind"] == "assessment"]
        if not assessed:
            raise Refused(f"Campaign {campaign} has no answers to a batch {batch}. Check the name of the batch.")
        if labeler is not None and labeler not in assessed[-1]["labelers"]:
            raise Refused(
                f"Labeler {labeler} has no answers in batch {batch} of campaign {campaign}. Check the labeler's name."
            )
        return {
            "kind": "override",
            "by": by,
            "batch": batch,
            "labeler": labeler,
            "decision": decision,
            "reason": reason,
            "codes": _codes(assessed[-1], labeler),
        }

    DECISIONS.append(store, quality_log_prefix(campaign), decide)


def batch_statuses(store: Store, campaign: str) -> dict[str, BatchStatus]:
    """Return the status of every batch that was assessed."""
    entries = decision_log(store, campaign)
    names = dict.fromkeys(entry["batch"] for entry in entries if entry["kind"] == "assessment")
    return {name: _status_of([entry for entry in entries if entry["batch"] == name]) for name in names}


def labels_seen(store: Store, campaign: str) -> dict[str, float]:
    """Return the number of labels of each batch at its newest assessment.

    Old assessments do not record the number; they include all labels.
    """
    return {batch: entry.get("labels", inf) for batch, entry in assessments(store, campaign).items()}


def _status_of(entries: list[Entry]) -> BatchStatus:
    assessment = [entry for entry in entries if entry["kind"] == "assessment"][-1]
    decision, why = assessment["decision"], "; ".join(finding["fault"] for finding in assessment["findings"])
    decisions = {name: labeler["decision"] for name, labeler in assessment["labelers"].items()}
    by_person = False
    for entry in entries:
        if entry["kind"] != "override":
            continue
        if entry["decision"] == "accept" and not set(_codes(assessment, entry["labeler"])) <= set(entry["codes"]):
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


def _codes(assessment: Assessment, labeler: str | None) -> list[str]:
    """Return the codes of the findings about a batch, or about one of its labelers."""
    if labeler is not None:
        assessed = assessment["labelers"].get(labeler)
        return list(assessed["codes"]) if assessed else []
    return sorted(finding.get("code") or code_of(finding["fault"]) for finding in assessment["findings"])
