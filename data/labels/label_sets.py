"""Frozen sets of labels: what a model was trained on, named by its content."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple, NotRequired, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from typing_extensions import TypedDict

from data.answers.answer import NO_DETAILS, Details
from data.batches.composition import DISAGREEMENT
from data.batches.index import Batch, batches, key_rows
from data.batches.schema import TESTS, read_key
from data.canonical import Document, canonical_json, seal, unseal
from data.errors import Refused
from data.labels.decisions import batch_statuses, labels_seen
from data.labels.delivery import DeliveryEntry, LabelFile
from data.labels.table import (
    AT_ONCE,
    Committed,
    active,
    active_labels,
    committed,
    committed_table,
    deliveries,
)
from data.measures.agreement import PairAgreement
from data.measures.intervals import proportion
from data.paths import KEY_FILE, label_set_key
from data.shapes import checked_shape
from data.store import Store

NAMED = ("label_id", "batch_id", "question_id", "labeler_id", "supersedes")


class LabelSet(TypedDict):
    """A frozen label set as the store has it: what it consists of, and how much that is."""

    label_set: str
    labels: int
    questions: int
    labelers: int
    batches: list[str]
    files: list[tuple[str, str]]  # key and sha256 of the files that the labels are in
    weights: NotRequired[dict[str, dict[str, float]]]  # batch, labeler; old sets have none


class Label(NamedTuple):
    """One label that counts."""

    batch_id: str
    question_id: str
    labeler_id: str
    best_sample: int | None
    weight: float = 1.0
    critique: str | None = None
    correction: str | None = None
    details: Details = NO_DETAILS


def freeze(store: Store, campaign: str, through_round: int | None = None) -> str | None:
    """Freeze the labels that count, all or those of the first rounds, and return the label set; None without any.

    What counts is decided by batch and by labeler (data/labels/decisions.py); those decisions become part of the set.
    Labels that no assessment has seen are left out: callers assess them first (data/quality/assess_batch.py:
    assess_pending).
    """
    rounds = {batch["batch"]: batch["round"] for batch in batches(store, campaign)}
    decided = batch_statuses(store, campaign)
    counted = [
        entry
        for entry in _assessed(store, campaign)
        if (through_round is None or rounds[entry["batch"]] <= through_round)
        and decided[entry["batch"]].decision == "accept"
    ]
    named = {entry["batch"] for entry in counted}
    weights = {batch: dict(decided[batch].weights) for batch in sorted(named)}
    labels = committed_table(store, counted, columns=NAMED)
    rows, of_each = active(labels), _weights(labels, weights)
    rows = rows[of_each[rows] > 0]
    if not len(rows):
        return None
    if len(rows) < len(labels):  # a million of them are not copied for nothing
        labels, of_each = labels.take(rows), of_each[rows]
    label_set = _id(labels, of_each)
    document: LabelSet = {
        "label_set": label_set,
        "labels": len(labels),
        "questions": pc.count_distinct(labels["question_id"]).as_py(),
        "labelers": pc.count_distinct(labels["labeler_id"]).as_py(),
        "batches": sorted(pc.unique(labels["batch_id"]).to_pylist()),
        "files": sorted({(entry["accepted_key"], entry["accepted_sha256"]) for entry in counted if entry["accepted"]}),
        "weights": weights,
    }
    store.put_new(label_set_key(campaign, label_set), seal(cast(Document, document)))
    return label_set


def _assessed(store: Store, campaign: str) -> Iterator[DeliveryEntry]:
    """Yield the deliveries whose labels the newest assessment of their batch has seen."""
    seen, labels = labels_seen(store, campaign), Counter[str]()
    for entry in deliveries(store, campaign):
        labels[entry["batch"]] += entry["accepted"]
        if labels[entry["batch"]] <= seen.get(entry["batch"], 0):
            yield entry


def _weights(labels: pa.Table, weights: Mapping[str, Mapping[str, float]]) -> NDArray[np.float64]:
    """Return the weight of each label, which is that of its labeler in its batch, or 1."""
    batch, who = (labels[name].combine_chunks().dictionary_encode() for name in ("batch_id", "labeler_id"))
    names = who.dictionary.to_pylist()
    of_both = [[weights.get(each, {}).get(name, 1.0) for name in names] for each in batch.dictionary.to_pylist()]
    found: NDArray[np.float64] = np.array(of_both).reshape(len(of_both), len(names))[batch.indices, who.indices]
    return found


def _id(labels: pa.Table, weights: NDArray[np.float64]) -> str:
    """Name a label set: hash the canonical JSON of its labels and weights, a part of them at a time. The slow form:

    pairs = sorted(zip(labels["label_id"].to_pylist(), weights.tolist()))
    return "ls" + sha256(canonical_json([list(pair) for pair in pairs]))[:14]
    """
    ids = np.frombuffer(labels["label_id"].combine_chunks().cast(pa.binary(64)).buffers()[1], "S64")  # SHA-256 in hex
    order, kinds = np.argsort(ids, kind="stable"), np.unique(weights)
    written = pa.array([canonical_json(float(kind)).decode() for kind in kinds], pa.string())
    digest = hashlib.sha256(b"[")
    for start in range(0, len(order), AT_ONCE):
        part = order[start : start + AT_ONCE]
        names = pa.Array.from_buffers(pa.binary(64), len(part), [None, pa.py_buffer(ids[part])]).cast(pa.string())
        texts = written.take(pa.array(np.searchsorted(kinds, weights[part])))
        pairs = pc.binary_join_element_wise(',["', names, '",', texts, "]", "")
        digest.update(memoryview(pairs.buffers()[2])[1 if start == 0 else 0 : pc.sum(pc.binary_length(pairs)).as_py()])
    digest.update(b"]")
    return "ls" + digest.hexdigest()[:14]


def _weighted(labels: Iterable[Committed], weights: Mapping[str, Mapping[str, float]]) -> list[tuple[Committed, float]]:
    """Return the labels that count, each with its weight, in the order of their ids."""
    found = [(label, weights.get(label.batch_id, {}).get(label.labeler_id, 1.0)) for label in active_labels(labels)]
    return sorted((pair for pair in found if pair[1] > 0), key=lambda pair: pair[0].label_id)


def labeled_rows(store: Store, campaign: str, label_set: str) -> list[tuple[dict[str, Any], int]]:
    """Return the labels of a set as rows of their batch's key, each with the sample that was chosen; gold left out."""
    document, labels = read_label_set(store, campaign, label_set)
    sources = [batch for batch in batches(store, campaign) if batch["batch"] in document["batches"]]
    rows = {row["question_id"]: row for batch in sources for row in key_rows(batch)}
    found = [(rows[label.question_id], label.best_sample) for label in labels if label.best_sample is not None]
    return [(row, best) for row, best in found if row["role"] not in TESTS]


def label_set_document(store: Store, campaign: str, label_set: str) -> LabelSet:
    """Return what a frozen label set says of itself; raise Refused where there is none of that id."""
    key = label_set_key(campaign, label_set)
    try:
        where = f"{key} in {store.uri}"
        return checked_shape(unseal(store.read(key), where), LabelSet, where)
    except (FileNotFoundError, ValueError) as error:
        raise Refused(f"Campaign {campaign} has no label set {label_set} in {store.uri}.") from error


def read_label_set(store: Store, campaign: str, label_set: str) -> tuple[LabelSet, list[Label]]:
    """Return a frozen label set: what it says of itself, and its labels in the order of their ids."""
    document = label_set_document(store, campaign, label_set)
    named = [LabelFile(batch="", accepted_key=key, accepted_sha256=digest) for key, digest in document["files"]]
    rows = _weighted(committed(store, named), document.get("weights", {}))
    return document, [
        Label(
            batch_id=row.batch_id,
            question_id=row.question_id,
            labeler_id=row.labeler_id,
            best_sample=row.best_sample,
            weight=weight,
            critique=row.critique,
            correction=row.correction,
            details=row.details,
        )
        for row, weight in rows
    ]


def label_agreement(labels: Sequence[Label], sources: Sequence[Batch]) -> PairAgreement | None:
    """Return how often two labelers of a label set chose the same sample of a question; None without copies.

    This counts the labels that a reward model is measured on: labels with one best sample, of questions that are no
    tests and were not selected for being hard.
    """
    items = {
        row["question_id"]: (batch["batch"], row["item"], len(row["shown"]))
        for batch in sources
        for row in read_key(batch.path(KEY_FILE), tokens=False)
        if row["role"] not in TESTS and row["selection_reason"] != DISAGREEMENT
    }
    chosen: dict[tuple[str, str, int], list[tuple[str, int]]] = defaultdict(list)
    for label in labels:
        if label.best_sample is not None and label.question_id in items:
            chosen[items[label.question_id]].append((label.labeler_id, label.best_sample))
    equal = [
        one[1] == other[1]
        for answers in chosen.values()
        for one, other in combinations(answers, 2)
        if one[0] != other[0]
    ]
    if not equal:
        return None
    return PairAgreement(proportion(sum(equal), len(equal)), max(options for _, _, options in chosen))
