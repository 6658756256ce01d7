"""The labels that were committed: their schema, their names, and what of them stands."""

import hashlib
from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data.answers import DETAILED
from data.answers.answer import NO_DETAILS, Details, named, text_of
from data.canonical import canonical_json, sha256
from data.labels.delivery import DeliveryEntry, LabelFile
from data.paths import label_log_prefix
from data.store import Store, log
from data.store.manifest import checked

LABEL = pa.schema(
    [
        ("label_id", pa.string()),
        ("batch_id", pa.string()),
        ("question_id", pa.string()),
        ("labeler_id", pa.string()),
        ("best_sample", pa.int8()),  # null where a ranking's first group holds several, or there are ratings only
        ("best_shown", pa.int8()),  # the position at which it was shown
        *((kind.name, kind.stored_type) for kind in DETAILED),
        ("source_row", pa.int64()),
        ("seconds", pa.float64()),
        ("confidence", pa.float64()),
        ("note", pa.string()),
        ("critique", pa.string()),  # what is wrong with the samples, in the labeler's words
        ("correction", pa.string()),  # the response that the labeler would have written
        ("flags", pa.list_(pa.string())),
        ("answered_at", pa.string()),  # ISO 8601 in UTC
        ("supersedes", pa.string()),  # the label that this one corrects
    ]
)
SKIPPED = pa.schema([("question_id", pa.string()), ("labeler_id", pa.string())])  # who would not answer what
AT_ONCE = 100_000


class Committed(NamedTuple):
    """One label as the store has it: answers name samples, not positions."""

    label_id: str
    batch_id: str
    question_id: str
    labeler_id: str
    best_sample: int | None
    best_shown: int | None
    seconds: float | None
    supersedes: str | None
    critique: str | None = None
    correction: str | None = None
    details: Details = NO_DETAILS


def label_id(
    batch: str,
    question: str,
    labeler: str,
    best: int | None,
    details: Details = NO_DETAILS,
    supersedes: str | None = None,
) -> str:
    """Name a label by all that it says: a correction is a label of its own."""
    content: list[Any] = [batch, question, labeler, best]
    if more := named(details):
        content.append(more)
    return sha256(canonical_json([*content, supersedes] if supersedes else content))


def labels_of(placed: pa.Table, batch: str) -> pa.Table:
    """Return accepted rows (data/ingest/match.py) as labels."""
    columns = {name: placed[name] for name in LABEL.names if name in placed.column_names}
    columns["batch_id"] = pa.repeat(pa.scalar(batch), len(placed))
    columns["source_row"] = placed["row"]
    plain = pc.and_(pc.is_null(placed["said"]), pc.is_null(placed["supersedes"]))
    parts = [
        _ids(placed.slice(start, AT_ONCE), plain.slice(start, AT_ONCE), batch)
        for start in range(0, len(placed), AT_ONCE)
    ]
    columns["label_id"] = pa.chunked_array(parts, pa.string())
    return pa.table({name: columns[name] for name in LABEL.names}, LABEL)


def _ids(placed: pa.Table, plain: pa.Array, batch: str) -> pa.Array:
    """Name labels; those that are a choice and no more, which nearly all are, by joining their texts. The slow form:

    rows = zip(*(placed[name].to_pylist() for name in ("question_id", "labeler_id", "best_sample", "supersedes")))
    details = details_of(placed, np.arange(len(placed)))
    return [label_id(batch, q, who, best, given, old) for (q, who, best, old), given in zip(rows, details)]
    """
    names = placed["labeler_id"].combine_chunks().dictionary_encode()
    quoted = pa.array([canonical_json(name).decode() for name in names.dictionary.to_pylist()], pa.string())
    texts = pc.binary_join_element_wise(
        f'[{canonical_json(batch).decode()},"',
        placed["question_id"].combine_chunks(),
        '",',
        quoted.take(names.indices),
        ",",
        placed["best_sample"].combine_chunks().cast(pa.string()),
        "]",
        "",
        null_handling="replace",
    )
    ids = [hashlib.sha256(text).hexdigest() for text in texts.cast(pa.binary()).to_pylist()]
    rows = np.flatnonzero(pc.invert(plain).to_numpy(zero_copy_only=False))
    columns = ["question_id", "labeler_id", "best_sample", "supersedes"]
    given = placed.select(columns).take(rows).to_pylist()
    for row, details, answer in zip(rows.tolist(), details_of(placed, rows), given, strict=True):
        ids[row] = label_id(
            batch, answer["question_id"], answer["labeler_id"], answer["best_sample"], details, answer["supersedes"]
        )
    return pa.array(ids, pa.string())


def answer_keys(labels: pa.Table) -> pa.Array:
    """Return answers with details as text, equal for equal answers; null for a best sample alone."""
    more = reduce(pc.or_, (pc.is_valid(labels[kind.name]) for kind in DETAILED))
    texts = np.full(len(labels), None, object)
    rows = np.flatnonzero(more.to_numpy())
    best = labels["best_sample"].take(rows).to_pylist()
    texts[rows] = [text_of(*answer) for answer in zip(best, details_of(labels, rows), strict=True)]
    return pa.array(texts, pa.string())


def details_of(labels: pa.Table, rows: NDArray[np.int64]) -> Iterator[Details]:
    """Yield the details of some rows; an empty mapping for a best sample alone."""
    names = [kind.name for kind in DETAILED]
    for given in labels.select(names).take(rows).to_pylist():
        yield {name: value for name, value in given.items() if value is not None}


def active(labels: pa.Table) -> NDArray[np.int64]:
    """Return the rows of the labels that no later one corrects."""
    corrected = labels["supersedes"].drop_null()
    if not len(corrected):
        return np.arange(len(labels))
    return np.flatnonzero(pc.invert(pc.is_in(labels["label_id"], corrected)).to_numpy())


def committed_table(
    store: Store, entries: Iterable[LabelFile], batch: str | None = None, columns: Iterable[str] = LABEL.names
) -> pa.Table:
    """Read the labels of the log's entries, each file checked against the hash in its entry; older files have fewer
    columns, which are null."""
    names = list(columns)
    schema = pa.schema([LABEL.field(name) for name in names])
    found = [schema.empty_table()]
    for entry in entries:
        if batch is not None and entry["batch"] != batch:
            continue
        path = checked(store, entry["accepted_key"], entry["accepted_sha256"])
        file = pq.ParquetFile(path)
        there = file.read([name for name in names if name in file.schema_arrow.names], use_threads=False)
        given = {name: there[name] for name in there.column_names}
        nulls = {field.name: pa.nulls(len(there), field.type) for field in schema}
        found.append(pa.table(nulls | given, schema))
    pa.default_memory_pool().release_unused()  # what reading took, which is as much again
    return pa.concat_tables(found)


def added(entry: DeliveryEntry) -> int:
    """Return how many answers more an entry of the log makes count: a correction takes the place of another one.

    Older entries do not say how many of theirs are corrections.
    """
    return entry["accepted"] - entry.get("corrections", 0)


def skips(store: Store, entries: Iterable[DeliveryEntry], batch: str) -> tuple[pa.Table, int]:
    """Return who skipped which question of a batch and never answered it, each once however often it was delivered, and
    how many skips more older entries count, which do not say whose."""
    mine = [entry for entry in entries if entry["batch"] == batch]
    found, counted = [SKIPPED.empty_table()], 0
    for entry in (entry for entry in mine if entry["skipped"]):
        if "skipped_key" in entry:
            found.append(pq.read_table(checked(store, entry["skipped_key"], entry["skipped_sha256"]), schema=SKIPPED))
        else:
            counted += entry["skipped"]
    named = pa.concat_tables(found).group_by(SKIPPED.names, use_threads=False).aggregate([])
    if not len(named):
        return named, counted
    answers = committed_table(store, mine, batch, SKIPPED.names)
    answers = answers.filter(pc.is_in(answers["question_id"], named["question_id"].combine_chunks()))
    return named.join(answers, SKIPPED.names, join_type="left anti", use_threads=False), counted


def committed(store: Store, entries: Iterable[LabelFile], batch: str | None = None) -> Iterator[Committed]:
    """Yield the labels of the log's entries one by one."""
    names, kinds = Committed._fields[:-1], [kind.name for kind in DETAILED]
    for entry in entries:
        table = committed_table(store, [entry], batch, [*names, *kinds])
        for part in table.to_batches(AT_ONCE):
            given = part.to_pydict()
            detailed = {name: given[name] for name in kinds if part[name].null_count < len(part)}
            details: Iterable[Details] = repeat(NO_DETAILS, len(part))
            if detailed:
                details = (
                    {name: value for name, value in zip(detailed, values, strict=True) if value is not None}
                    for values in zip(*detailed.values(), strict=True)
                )
            yield from map(Committed, *(given[name] for name in names), details)


DELIVERIES = log.Log(DeliveryEntry)


def active_labels(labels: Iterable[Committed]) -> list[Committed]:
    """Leave out the labels that a later one corrects."""
    all_of_them = list(labels)
    corrected = {label.supersedes for label in all_of_them}
    return [label for label in all_of_them if label.label_id not in corrected]


def deliveries(store: Store, campaign: str) -> list[DeliveryEntry]:
    """Return the log of what was ingested."""
    return DELIVERIES.entries(store, label_log_prefix(campaign))
