"""Delivered rows in one form: every field read, or the reason why a row cannot be used.

Readers of fields work on single values; a column is read through its distinct values, so that a million answers cost a
few calls. Positions are still those shown: which sample stood there, only the key of the batch knows.
"""

import json
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.answers import KINDS
from data.answers.base import BadAnswer
from data.batches.contract import ALL_COLUMNS, TEXT_COLUMN
from data.batches.key import text_hashes
from data.batches.schema import SCHEMA_VERSION
from data.errors import Refused
from data.escape import shown
from data.exchange.columns import Chunk
from data.ingest import fields

PARSED = pa.schema(
    [
        ("row", pa.int64()),  # number in the file, from 1
        ("question_id", pa.string()),
        ("content_sha256", pa.string()),
        ("labeler_id", pa.string()),
        *((kind.name, kind.row_type) for kind in KINDS),  # by position as shown
        ("skip", pa.bool_()),
        ("seconds", pa.float64()),
        ("confidence", pa.float64()),
        ("note", pa.string()),
        ("critique", pa.string()),
        ("correction", pa.string()),
        ("flags", pa.list_(pa.string())),
        ("answered_at", pa.string()),  # ISO 8601 in UTC
        ("supersedes", pa.string()),
        ("batch_id", pa.string()),
        ("texts", pa.string()),  # hash of query and options, if they came back (data/batches/key.py)
        ("problem", pa.string()),  # why the row cannot be used; null if nothing is wrong
        ("raw", pa.string()),  # JSON of the row as delivered, if there is a problem
    ]
)
FIELD_READERS: dict[str, Callable[[Any], Any]] = {
    "labeler_id": fields.labeler,
    **{name: fields.optional(name) for name in ("seconds", "confidence", "note", "critique", "correction")},
    **{name: fields.optional(name) for name in ("flags", "answered_at", "supersedes", "batch_id")},
    **{kind.name: kind.read for kind in KINDS},
    "skip": fields.is_skip,
}


def parse_rows(chunk: Chunk, name: str) -> pa.RecordBatch:
    """Return the rows of a chunk as PARSED; `name` is the file's, for a refusal."""
    chunk = chunk._replace(columns=_times_as_text(chunk.columns))
    given = {column: _without_empty(chunk.columns.column(column)) for column in chunk.columns.schema.names}
    _refuse_other_versions(given, name)
    count = chunk.columns.num_rows
    found: dict[str, pa.Array] = {"row": pa.array(chunk.numbers)}
    problems = []
    for column, reader in FIELD_READERS.items():
        found[column], problem = _read(given.get(column, pa.nulls(count)), reader, PARSED.field(column).type)
        problems.append(problem)
    missing = pc.if_else(pc.is_null(found["labeler_id"]), "labeler_id is missing", pa.scalar(None, pa.string()))
    problem = pc.coalesce(*problems, missing, _fits(found))
    bad = np.flatnonzero(pc.is_valid(problem).to_numpy(zero_copy_only=False))
    raw = np.full(count, None, object)
    raw[bad] = [_as_json(row) for row in chunk.columns.take(bad).to_pylist()]
    for column in ("question_id", "content_sha256"):
        found[column] = _plain(given.get(column, pa.nulls(count)))
    found["texts"] = _texts(chunk.columns)
    found |= {"problem": problem, "raw": pa.array(raw, pa.string())}
    table = [pa.RecordBatch.from_arrays([found[column] for column in PARSED.names], schema=PARSED)]
    if chunk.broken:
        gone = [
            {"row": row, "problem": "has too few or too many cells", "raw": json.dumps(text)}
            for row, text in chunk.broken
        ]
        table.append(pa.RecordBatch.from_pylist(gone, PARSED))
    return pa.Table.from_batches(table).combine_chunks().to_batches(max_chunksize=None)[0]


def _times_as_text(chunk: pa.RecordBatch) -> pa.RecordBatch:
    """Return times of Parquet as text in UTC: it can write those that are in no calendar, or in a zone of no map."""
    columns = {name: _plain(chunk.column(name)) for name in chunk.schema.names}
    for name, column in columns.items():
        if pa.types.is_timestamp(column.type) and column.type.tz is not None:
            column = column.cast(pa.timestamp(column.type.unit, "UTC"))
        columns[name] = column.cast(pa.string()) if pa.types.is_timestamp(column.type) else column
    return pa.RecordBatch.from_pydict(columns)


def _texts(chunk: pa.RecordBatch) -> pa.Array:
    """Hash what came back of the texts that were shown; null for rows that have none."""
    names = sorted(name for name in chunk.schema.names if TEXT_COLUMN.fullmatch(name))
    if not names:
        return pa.nulls(chunk.num_rows, pa.string())
    columns = [_plain(chunk.column(name)) for name in names]
    there = reduce(pc.or_, (pc.greater(pc.binary_length(column).fill_null(0), 0) for column in columns))
    return pc.if_else(there, text_hashes(columns), pa.scalar(None, pa.string()))


def _fits(found: dict[str, pa.Array]) -> pa.Array:
    """Return the problem of rows that answer in more than one way, or in none."""
    answers = reduce(pc.or_, (pc.is_valid(found[kind.name]) for kind in KINDS))
    skipped = pc.fill_null(found["skip"], False)
    none = pa.scalar(None, pa.string())
    return pc.if_else(
        skipped,
        pc.if_else(answers, "skips the question, and answers it", none),
        pc.if_else(answers, none, "best is missing"),
    )


def _read(column: pa.Array, reader: Callable[[Any], Any], kind: pa.DataType) -> tuple[pa.Array, pa.Array]:
    """Read a column through its distinct values; return what they are read as, and what is wrong with them."""
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), kind), pa.nulls(len(column), pa.string())
    encoded = _distinct(column)
    values: list[Any] = []
    problems: list[str | None] = []
    for value in encoded.dictionary.to_pylist():
        try:
            values.append(reader(value))
            problems.append(None)
        except BadAnswer as bad:
            values.append(None)
            problems.append(str(bad))
    return pa.array(values, kind).take(encoded.indices), pa.array(problems, pa.string()).take(encoded.indices)


def _distinct(column: pa.Array) -> pa.DictionaryArray:
    if pa.types.is_nested(column.type):
        column = pa.array([None if value is None else json.dumps(value) for value in column.to_pylist()], pa.string())
    return _plain(column).dictionary_encode()


def _plain(column: pa.Array) -> pa.Array:
    """Return a column without dictionary, and text as plain strings."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_null(column.type) or pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    return column


def _without_empty(column: pa.Array) -> pa.Array:
    """Return a column whose empty cells, as CSV has them for nothing, are null."""
    column = _plain(column)
    if not pa.types.is_string(column.type):
        return column
    return pc.if_else(pc.equal(pc.binary_length(column), 0), pa.scalar(None, pa.string()), column)


def _refuse_other_versions(given: dict[str, pa.Array], name: str) -> None:
    versions = set(pc.unique(given["schema_version"]).to_pylist()) if "schema_version" in given else set()
    for version in versions - {SCHEMA_VERSION, None}:
        raise Refused(f"{name} answers questions of version {shown(version)}; they are {SCHEMA_VERSION}.")


def _as_json(row: dict[str, Any]) -> str:
    kept = {name: value for name, value in row.items() if name in ALL_COLUMNS and value is not None}
    return json.dumps(kept, default=str, ensure_ascii=False)
