"""Frozen label sets: the labels that a model is trained on, named by their content."""

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
from data.canonical import Document, canonical_json, seal
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
from data.paths import KEY_FILE, LABEL_SET_FILE, batch_prefix, label_set_key, label_sets_prefix
from data.shapes import unsealed
from data.store import Store
from data.store.base import named

NAMED = ("label_id", "batch_id", "question_id", "labeler_id", "supersedes")


class LabelSet(TypedDict):
    """A frozen label set as it is stored: its labels by file and weight, and their numbers."""

    label_set: str
    labels: int
    questions: int
    labelers: int
    batches: list[str]
    files: list[tuple[str, str]]  # key and sha256 of the files with the labels
    weights: NotRequired[dict[str, dict[str, float]]]  # by batch and labeler; missing in old sets


class Label(NamedTuple):
    """One label of a set, with its weight in training."""

    batch_id: str
    question_id: str
    labeler_id: str
    best_sample: int | None
    weight: float = 1.0
    critique: str | None = None
    correction: str | None = None
    details: Details = NO_DETAILS


def freeze(store: Store, campaign: str, through_round: int | None = None) -> str | None:
    """Freeze the labels that count, of all rounds or of the first ones, and return the id of the set; None without any.

    Decisions about batches and labelers (data/labels/decisions.py) say which labels count, and become part of the set.
    Labels that were not assessed are left out, so callers assess them first (assess_pending in
    data/quality/assess_batch.py).
    """
    rounds = {batch["batch"]: batch["round"] for batch in batches(store, campaign)}
    decided = batch_statuses(store, campaign)
    counted = [
        entry
        for entry in _assessed(store, campaign)
        if (through_round is None or rounds[entry["batch"]] <= through_round)
        and decided[entry["batch"]].decision == "accept"
    ]
    weights = {batch: dict(decided[batch].weights) for batch in sorted({entry["batch"] for entry in counted})}
    labels = committed_table(store, counted, columns=NAMED)
    rows, label_weights = active(labels), _weights(labels, weights)
    rows = rows[label_weights[rows] > 0]
    if not len(rows):
        return None
    if len(rows) < len(labels):  # otherwise a copy of a million labels would change nothing
        labels, label_weights = labels.take(rows), label_weights[rows]
    label_set = _id(labels, label_weights)
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
    """Yield the deliveries whose labels are part of the newest assessment of their batch."""
    seen, labels = labels_seen(store, campaign), Counter[str]()
    for entry in deliveries(store, campaign):
        labels[entry["batch"]] += entry["accepted"]
        if labels[entry["batch"]] <= seen.get(entry["batch"], 0):
            yield entry


def _weights(labels: pa.Table, weights: Mapping[str, Mapping[str, float]]) -> NDArray[np.float64]:
    """Return the weight of each label, which is that of its labeler in its batch, or 1."""
    batch_ids = labels["batch_id"].combine_chunks().dictionary_encode()
    labelers = labels["labeler_id"].combine_chunks().dictionary_encode()
    names = labelers.dictionary.to_pylist()
    table = [[weights.get(batch, {}).get(name, 1.0) for name in names] for batch in batch_ids.dictionary.to_pylist()]
    matrix = np.array(table).reshape(len(table), len(names))
    of_label: NDArray[np.float64] = matrix[batch_ids.indices, labelers.indices]
    return of_label


def _id(labels: pa.Table, weights: NDArray[np.float64]) -> str:
    """Return the id of a label set: a hash of the canonical JSON of its labels and weights, written in parts.

    The slow form:

    pairs = sorted(zip(labels["label_id"].to_pylist(), weights.tolist()))
    return "ls" + sha256(canonical_json([list(pair) for pair in pairs]))[:14]
    """
    ids = np.frombuffer(labels["label_id"].combine_chunks().cast(pa.binary(64)).buffers()[1], "S64")  # SHA-256 in hex
    order, values = np.argsort(ids, kind="stable"), np.unique(weights)
    written = pa.array([canonical_json(float(value)).decode() for value in values], pa.string())
    digest = hashlib.sha256(b"[")
    for start in range(0, len(order), AT_ONCE):
        part = order[start : start + AT_ONCE]
        names = pa.Array.from_buffers(pa.binary(64), len(part), [None, pa.py_buffer(ids[part])]).cast(pa.string())
        texts = written.take(pa.array(np.searchsorted(values, weights[part])))
        pairs = pc.binary_join_element_wise(',["', names, '",', texts, "]", "")
        digest.update(memoryview(pairs.buffers()[2])[1 if start == 0 else 0 : pc.sum(pc.binary_length(pairs)).as_py()])
    digest.update(b"]")
    return "ls" + digest.hexdigest()[:14]


def _weighted(labels: Iterable[Committed], weights: Mapping[str, Mapping[str, float]]) -> list[tuple[Committed, float]]:
    """Return the labels that count, each with its weight, in the order of their ids."""
    pairs = [(label, weights.get(label.batch_id, {}).get(label.labeler_id, 1.0)) for label in active_labels(labels)]
    return sorted((pair for pair in pairs if pair[1] > 0), key=lambda pair: pair[0].label_id)


def batches_of(store: Store, campaign: str, document: LabelSet) -> list[Batch]:
    """Return the batches that a label set has labels of, oldest first; raise Refused if one is missing."""
    published = [batch for batch in batches(store, campaign) if batch["batch"] in document["batches"]]
    if missing := set(document["batches"]) - {batch["batch"] for batch in published}:
        batch = sorted(missing)[0]
        raise Refused(f"{batch_prefix(campaign, batch)} is missing from {store.uri}: restore it from a backup.")
    return published


def labeled_rows(store: Store, campaign: str, label_set: str) -> list[tuple[dict[str, Any], int]]:
    """Return the labels of a set as rows of their batch's key, each with its chosen sample.

    Gold and drift questions, and labels without one best sample, are left out.
    """
    document, labels = read_label_set(store, campaign, label_set)
    rows = {row["question_id"]: row for batch in batches_of(store, campaign, document) for row in key_rows(batch)}
    chosen = [(rows[label.question_id], label.best_sample) for label in labels if label.best_sample is not None]
    return [(row, best) for row, best in chosen if row["role"] not in TESTS]


def label_set_documents(store: Store, campaign: str) -> list[LabelSet]:
    """Return what every frozen label set of a campaign says of itself, in the order of their ids."""
    keys = named(store, label_sets_prefix(campaign), LABEL_SET_FILE)
    return [unsealed(store.read(key), LabelSet, f"{key} in {store.uri}") for key in keys]


def label_set_document(store: Store, campaign: str, label_set: str) -> LabelSet:
    """Return the document of a frozen label set; raise Refused if there is none with that id."""
    key = label_set_key(campaign, label_set)
    try:
        where = f"{key} in {store.uri}"
        return unsealed(store.read(key), LabelSet, where)
    except (FileNotFoundError, ValueError) as error:
        raise Refused(
            f"Campaign {campaign} has no label set {label_set} in {store.uri}. Check the id of the label set."
        ) from error


def read_label_set(store: Store, campaign: str, label_set: str) -> tuple[LabelSet, list[Label]]:
    """Return a frozen label set: its document, and its labels in the order of their ids."""
    document = label_set_document(store, campaign, label_set)
    files = [LabelFile(batch="", accepted_key=key, accepted_sha256=digest) for key, digest in document["files"]]
    rows = _weighted(committed(store, files), document.get("weights", {}))
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
    """Return the share of equal answers by two labelers of a label set to one question; None without copies.

    Only labels that can measure a reward model count. They have one best sample, and their questions are neither tests
    nor selected for the disagreement of reward models.
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
