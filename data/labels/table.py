"""Accepted labels: their schema, their ids, and which of them are in force."""

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
        ("best_sample", pa.int8()),  # null if several share the first place of a ranking, or if there are ratings only
        ("best_shown", pa.int8()),  # its position as shown
        *((kind.name, kind.stored_type) for kind in DETAILED),
        ("source_row", pa.int64()),
        ("seconds", pa.float64()),
        ("confidence", pa.float64()),
        ("note", pa.string()),
        ("critique", pa.string()),  # the labeler's criticism of the samples
        ("correction", pa.string()),  # the response that the labeler would have written
        ("flags", pa.list_(pa.string())),
        ("answered_at", pa.string()),  # ISO 8601 in UTC
        ("supersedes", pa.string()),  # the label that this one corrects
    ]
)
SKIPPED = pa.schema([("question_id", pa.string()), ("labeler_id", pa.string())])
AT_ONCE = 100_000  # rows that are held as Python objects at a time


class Committed(NamedTuple):
    """One stored label. It names samples, not positions."""

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
    """Return the id of a label, a hash of its content. A correction has an id of its own."""
    content: list[Any] = [batch, question, labeler, best]
    if more := named(details):
        content.append(more)
    return sha256(canonical_json([*content, supersedes] if supersedes else content))


def labels_of(matched: pa.Table, batch: str) -> pa.Table:
    """Return accepted rows (MATCHED in data/ingest/match.py) as labels (LABEL)."""
    columns = {name: matched[name] for name in LABEL.names if name in matched.column_names}
    columns["batch_id"] = pa.repeat(pa.scalar(batch), len(matched))
    columns["source_row"] = matched["row"]
    plain = pc.and_(pc.is_null(matched["answer_key"]), pc.is_null(matched["supersedes"]))
    parts = [
        _ids(matched.slice(start, AT_ONCE), plain.slice(start, AT_ONCE), batch)
        for start in range(0, len(matched), AT_ONCE)
    ]
    columns["label_id"] = pa.chunked_array(parts, pa.string())
    return pa.table({name: columns[name] for name in LABEL.names}, LABEL)


def _ids(matched: pa.Table, plain: pa.Array, batch: str) -> pa.Array:
    """Return the ids of labels. `plain` labels, which have a best sample alone, are named by joined texts for speed.

    The slow form:

    rows = zip(*(matched[name].to_pylist() for name in ("question_id", "labeler_id", "best_sample", "supersedes")))
    details = details_of(matched, np.arange(len(matched)))
    return [label_id(batch, q, who, best, more, old) for (q, who, best, old), more in zip(rows, details)]
    """
    names = matched["labeler_id"].combine_chunks().dictionary_encode()
    quoted = pa.array([canonical_json(name).decode() for name in names.dictionary.to_pylist()], pa.string())
    texts = pc.binary_join_element_wise(
        f'[{canonical_json(batch).decode()},"',
        matched["question_id"].combine_chunks(),
        '",',
        quoted.take(names.indices),
        ",",
        matched["best_sample"].combine_chunks().cast(pa.string()),
        "]",
        "",
        null_handling="replace",
    )
    ids = [hashlib.sha256(text).hexdigest() for text in texts.cast(pa.binary()).to_pylist()]
    rows = np.flatnonzero(pc.invert(plain).to_numpy(zero_copy_only=False))
    columns = ["question_id", "labeler_id", "best_sample", "supersedes"]
    answers = matched.select(columns).take(rows).to_pylist()
    for row, details, answer in zip(rows.tolist(), details_of(matched, rows), answers, strict=True):
        ids[row] = label_id(
            batch, answer["question_id"], answer["labeler_id"], answer["best_sample"], details, answer["supersedes"]
        )
    return pa.array(ids, pa.string())


def answer_keys(labels: pa.Table) -> pa.Array:
    """Return answers with details as texts, which are equal for equal answers; null for a best sample alone."""
    more = reduce(pc.or_, (pc.is_valid(labels[kind.name]) for kind in DETAILED))
    texts = np.full(len(labels), None, object)
    rows = np.flatnonzero(more.to_numpy())
    best = labels["best_sample"].take(rows).to_pylist()
    texts[rows] = [text_of(*answer) for answer in zip(best, details_of(labels, rows), strict=True)]
    return pa.array(texts, pa.string())


def details_of(labels: pa.Table, rows: NDArray[np.int64]) -> Iterator[Details]:
    """Yield the details of some rows; an empty mapping for a best sample alone."""
    names = [kind.name for kind in DETAILED]
    for row in labels.select(names).take(rows).to_pylist():
        yield {name: value for name, value in row.items() if value is not None}


def active(labels: pa.Table) -> NDArray[np.int64]:
    """Return the row numbers of the labels that no later label corrects."""
    corrected = labels["supersedes"].drop_null()
    if not len(corrected):
        return np.arange(len(labels))
    return np.flatnonzero(pc.invert(pc.is_in(labels["label_id"], corrected)).to_numpy())


def committed_table(
    store: Store, entries: Iterable[LabelFile], batch: str | None = None, columns: Iterable[str] = LABEL.names
) -> pa.Table:
    """Return the labels of entries of the log, of one batch or all.

    Each file is checked against the hash in its entry. Columns that older files lack are null.
    """
    names = list(columns)
    schema = pa.schema([LABEL.field(name) for name in names])
    tables = [schema.empty_table()]
    for entry in entries:
        if batch is not None and entry["batch"] != batch:
            continue
        path = checked(store, entry["accepted_key"], entry["accepted_sha256"])
        file = pq.ParquetFile(path)
        stored = file.read([name for name in names if name in file.schema_arrow.names], use_threads=False)
        present = {name: stored[name] for name in stored.column_names}
        nulls = {field.name: pa.nulls(len(stored), field.type) for field in schema}
        tables.append(pa.table(nulls | present, schema))
    pa.default_memory_pool().release_unused()  # reading needs as much memory again
    return pa.concat_tables(tables)


def added(entry: DeliveryEntry) -> int:
    """Return the number of answers that an entry adds. A correction replaces an answer and adds none.

    Older entries do not record their corrections, so all their answers are counted.
    """
    return entry["accepted"] - entry.get("corrections", 0)


def skips(store: Store, entries: Iterable[DeliveryEntry], batch: str) -> tuple[pa.Table, int]:
    """Return the skips of a batch (SKIPPED), and the number of further skips in older entries without a file.

    A skip that was delivered several times occurs once, and a skipped question that was answered later not at all.
    """
    mine = [entry for entry in entries if entry["batch"] == batch]
    tables, unnamed = [SKIPPED.empty_table()], 0
    for entry in (entry for entry in mine if entry["skipped"]):
        if "skipped_key" in entry:
            tables.append(pq.read_table(checked(store, entry["skipped_key"], entry["skipped_sha256"]), schema=SKIPPED))
        else:
            unnamed += entry["skipped"]
    named = pa.concat_tables(tables).group_by(SKIPPED.names, use_threads=False).aggregate([])
    if not len(named):
        return named, unnamed
    answers = committed_table(store, mine, batch, SKIPPED.names)
    answers = answers.filter(pc.is_in(answers["question_id"], named["question_id"].combine_chunks()))
    return named.join(answers, SKIPPED.names, join_type="left anti", use_threads=False), unnamed


def committed(store: Store, entries: Iterable[LabelFile], batch: str | None = None) -> Iterator[Committed]:
    """Yield the labels of entries of the log one by one."""
    names, kinds = Committed._fields[:-1], [kind.name for kind in DETAILED]
    for entry in entries:
        table = committed_table(store, [entry], batch, [*names, *kinds])
        for part in table.to_batches(AT_ONCE):
            columns = part.to_pydict()
            detailed = [name for name in kinds if part[name].null_count < len(part)]
            details: Iterable[Details] = repeat(NO_DETAILS, len(part))
            if detailed:
                details = (
                    {name: value for name, value in zip(detailed, values, strict=True) if value is not None}
                    for values in zip(*(columns[name] for name in detailed), strict=True)
                )
            yield from map(Committed, *(columns[name] for name in names), details)


DELIVERIES = log.Log(DeliveryEntry)


def active_labels(labels: Iterable[Committed]) -> list[Committed]:
    """Return the labels that no later label corrects."""
    all_of_them = list(labels)
    corrected = {label.supersedes for label in all_of_them}
    return [label for label in all_of_them if label.label_id not in corrected]


def deliveries(store: Store, campaign: str) -> list[DeliveryEntry]:
    """Return the log of ingested files, oldest first."""
    return DELIVERIES.entries(store, label_log_prefix(campaign))
