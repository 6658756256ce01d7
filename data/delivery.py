"""Answer files as rows: what a vendor delivered is Parquet, CSV or JSON by its first bytes, whatever its name says.

A file whose rows cannot be trusted to be rows is refused here. CSV is read as text throughout, because readers that
infer types turn ids into numbers and 'NA' into nothing.
"""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from data.exchange import argilla, label_studio
from data.refused import Refused

REQUIRED = ("question_id", "content_sha256", "labeler_id")
ANSWERS = ("best", "ranking", "ratings")  # a file has at least one of these columns
SAID = ("seconds", "confidence", "note", "critique", "correction", "flags", "answered_at", "supersedes")
COLUMNS = (*REQUIRED, *ANSWERS, "skip", *SAID)
MOST_BYTES = 2 << 30
FOREIGN = {
    b"PK\x03\x04": "a zip or Excel file",
    b"\x1f\x8b": "gzip",
    b"ARROW1": "Arrow IPC",
    b"\xd0\xcf\x11\xe0": "Excel",
}
TEXT_TYPES = (pa.types.is_string, pa.types.is_large_string)


MOST_BYTES_OF_JSON = 256 << 20  # read as a whole
MOST_ROWS, MOST_COLUMNS, MOST_ROW_GROUPS = 5_000_000, 64, 10_000


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (row number from 1, row) of a Parquet or CSV file; raise Refused where the file is not one."""
    size = path.stat().st_size if path.is_file() else 0
    if size == 0:
        raise Refused(f"{path.name} is empty: there is nothing to read.")
    if size > MOST_BYTES:
        raise Refused(f"{path.name} has {size:,} bytes: deliver it in files of at most {MOST_BYTES:,}.")
    with path.open("rb") as file:
        head = file.read(8)
    for magic, name in FOREIGN.items():
        if head.startswith(magic):
            raise Refused(f"{path.name} is {name}: deliver answers as Parquet, CSV or JSON.")
    rows: Iterator[dict[str, Any]]
    if head.startswith(b"PAR1"):
        rows = (row for batch in _parquet(path) for row in batch.to_pylist())
    elif head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{"):
        rows = _json(path)
    else:
        rows = (row for batch in _csv(path) for row in batch.to_pylist())
    number = 0
    for number, row in enumerate(rows, 1):
        yield number, row
    if number == 0:
        raise Refused(f"{path.name} has no rows: nothing was answered.")


def _check_columns(path: Path, names: list[str]) -> list[str]:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise Refused(f"{path.name} has the column {repeated[0]} twice: keep one.")
    missing = [name for name in REQUIRED if name not in names]
    if not set(ANSWERS) & set(names):
        missing.append("best")
    if missing:
        hint = " Separate columns by commas." if len(names) == 1 and re.search(r"[;\t|]", names[0]) else ""
        found = ", ".join(names[:12])[:300]
        raise Refused(f"{path.name} lacks the column {', '.join(missing)}; it has: {found}.{hint}")
    return [name for name in COLUMNS if name in names]


def _parquet(path: Path) -> Iterator[pa.RecordBatch]:
    try:
        file = pq.ParquetFile(
            path, page_checksum_verification=True, thrift_string_size_limit=1 << 24, thrift_container_size_limit=1 << 20
        )
        shape = file.metadata  # a bomb says so here: 0.2 MB may hold ten million rows
        for name, count, most in (
            ("rows", shape.num_rows, MOST_ROWS),
            ("columns", shape.num_columns, MOST_COLUMNS),
            ("row groups", shape.num_row_groups, MOST_ROW_GROUPS),
        ):
            if count > most:
                raise Refused(f"{path.name} has {count:,} {name}, more than {most:,}: deliver it in parts.")
        columns = _check_columns(path, file.schema_arrow.names)
        best = file.schema_arrow.field("best").type if "best" in columns else pa.null()
        if not (pa.types.is_integer(best) or pa.types.is_floating(best) or pa.types.is_null(best)):
            raise Refused(f"{path.name}: the column best is {best}; it must be an integer, the 0-based option shown.")
        for name in ("question_id", "content_sha256", "labeler_id"):
            kind = file.schema_arrow.field(name).type
            plain = kind.value_type if pa.types.is_dictionary(kind) else kind
            if not any(is_text(plain) for is_text in TEXT_TYPES):
                raise Refused(f"{path.name}: the column {name} is {kind}; it must be text.")
        for batch in file.iter_batches(20_000, columns=columns):
            batch.validate(full=True)
            yield batch
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path.name} is not a whole Parquet file ({_first_line(error)}): deliver it again.") from error


def _csv(path: Path) -> Iterator[pa.RecordBatch]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = next(csv.reader(file), [])
        _check_columns(path, names)
        as_text = pa.csv.ConvertOptions(
            column_types={name: pa.string() for name in names},
            strings_can_be_null=False,
            quoted_strings_can_be_null=False,
        )
        quoted = pa.csv.ParseOptions(newlines_in_values=True)
        with pa.csv.open_csv(path, parse_options=quoted, convert_options=as_text) as reader:
            yield from reader
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"{path.name} is neither Parquet nor UTF-8 text: deliver Parquet, or CSV in UTF-8.") from error
    except pa.ArrowInvalid as error:
        raise Refused(f"{path.name} is not a whole CSV file ({_first_line(error)}): deliver it again.") from error


def _json(path: Path) -> Iterator[dict[str, Any]]:
    """Read a full export of Label Studio, records of Argilla, or one answer an object: an array, or a line each."""
    if path.stat().st_size > MOST_BYTES_OF_JSON:
        raise Refused(f"{path.name} is JSON of over {MOST_BYTES_OF_JSON:,} bytes: deliver it in parts, or as Parquet.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = text.lstrip().startswith("{")
        found = [json.loads(line) for line in text.splitlines() if line.strip()] if lines else json.loads(text)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise Refused(f"{path.name} is not whole JSON in UTF-8 ({_first_line(error)}): deliver it again.") from error
    if not found or not all(isinstance(row, dict) for row in found):
        raise Refused(f"{path.name} is JSON without objects: deliver one object an answer.")
    first = found[0]
    if "annotations" in first:
        return label_studio.answers(found)
    if "responses" in first and "fields" in first:
        return argilla.answers(found)
    if "query" in first and "sample0" in first:
        raise Refused(f"{path.name} is a label file of the 2019 release: take it in with andon import.")
    _check_columns(path, list(dict.fromkeys(name for row in found for name in row)))
    return iter(found)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:160].rstrip(".") if str(error) else type(error).__name__
