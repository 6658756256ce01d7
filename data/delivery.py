"""Answer files as tables: what a vendor delivered is Parquet, CSV or JSON by its first bytes, whatever its name says.

A file whose rows cannot be trusted to be rows is refused here. CSV and JSON are read as text throughout, because
readers that infer types turn ids into numbers and 'NA' into nothing.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data.exchange import argilla, label_studio
from data.refused import Refused

REQUIRED = ("question_id", "content_sha256", "labeler_id")
ANSWERS = ("best", "ranking", "ratings")
ONE_OF = (*ANSWERS, "skip")  # a file has at least one of these columns
SAID = ("seconds", "confidence", "note", "critique", "correction", "flags", "answered_at", "supersedes")
CHECKED = ("batch_id", "schema_version")  # compared with what was sent, where they come back
COLUMNS = (*REQUIRED, *ONE_OF, *SAID, *CHECKED)
TEXT = re.compile(r"query|option_[0-9]{1,2}")  # columns of what was shown: compared with it where they come back
MOST_BYTES = 2 << 30
MOST_BYTES_OF_JSON = 256 << 20  # of an array, which is read as a whole
MOST_ROWS, MOST_COLUMNS, MOST_ROW_GROUPS = 5_000_000, 64, 10_000
LONGEST_ROW = 16 << 20  # bytes of a row of CSV
MOST_BROKEN = 1_000  # rows of a CSV file with too few or too many cells
ROWS_AT_ONCE = 50_000
READ_FOR_NAMES = 1_000  # objects of JSON, whose columns are the names that any of them has
PAGE = re.compile(r'\s*\{\s*"items"\s*:\s*\[')  # as Argilla's server wraps its records
EXCEL = 1_048_576  # rows of a sheet, the header counted; what lies beyond is cut without a word
FOREIGN = {
    b"PK\x03\x04": "a zip or Excel file",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ": "xz",
    b"ARROW1": "Arrow IPC",
    b"FEA1": "Feather",
    b"PARE": "encrypted Parquet",
    b"\xd0\xcf\x11\xe0": "Excel",
}


class Part(NamedTuple):
    """Some rows of a file."""

    numbers: NDArray[np.int64]  # of the rows, from 1
    columns: pa.RecordBatch  # of COLUMNS and TEXT, those that the file has
    broken: list[tuple[int, str]]  # rows that are none: number, text


class Delivery(NamedTuple):
    """A file that is being read: what it holds that nobody asked for, its rows, and the texts that came back."""

    ignored: list[str]
    parts: Iterator[Part]
    texts: list[str] = []


def read(path: Path) -> Delivery:
    """Read a delivered file in bounded memory; raise Refused where it is not one, now or while it is read."""
    size = path.stat().st_size if path.is_file() else 0
    if size == 0:
        raise Refused(f"{path.name} is empty: there is nothing to read.")
    if size > MOST_BYTES:
        raise Refused(f"{path.name} has {size:,} bytes: deliver it in files of at most {MOST_BYTES:,}.")
    with path.open("rb") as file:
        head = file.read(8)
    for magic, name in FOREIGN.items():
        if head.startswith(magic):
            raise Refused(f"{path.name} is {name}: deliver answers as Parquet, CSV or JSON, not packed.")
    if head.startswith(b"PAR1"):
        found = _parquet(path)
    elif head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{"):
        found = _json(path)
    else:
        found = _csv(path)
    return found._replace(parts=_counted(path, found.parts))


def _counted(path: Path, parts: Iterator[Part]) -> Iterator[Part]:
    rows = 0
    for part in parts:
        rows += len(part.numbers) + len(part.broken)
        if rows > MOST_ROWS:
            raise Refused(f"{path.name} has over {MOST_ROWS:,} rows: deliver it in parts.")
        yield part
    if rows == 0:
        raise Refused(f"{path.name} has no rows: nothing was answered.")
    if rows in (EXCEL, EXCEL - 1):
        raise Refused(f"{path.name} has {rows:,} rows, where Excel cuts a sheet: deliver it in parts, or as Parquet.")


def _check_columns(path: Path, names: list[str]) -> tuple[list[str], list[str], list[str]]:
    """Return the columns that are read, those that are not, and those of texts; raise Refused where one is missing."""
    if len(names) > MOST_COLUMNS:
        raise Refused(f"{path.name} has {len(names):,} columns, more than {MOST_COLUMNS}: deliver only the answers.")
    if (unnamed := names.count("")) > 1:
        raise Refused(
            f"{path.name} has {unnamed} columns without a name: remove those that hold nothing, name the others."
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise Refused(f"{path.name} has the column {ascii(repeated[0][:40])[1:-1]} twice: keep one.")
    missing = [name for name in REQUIRED if name not in names]
    if not set(ONE_OF) & set(names):
        missing.append("best")
    if missing:
        hint = " Separate columns by commas." if len(names) == 1 and re.search(r"[;\t|]", names[0]) else ""
        alike = {re.sub(r"[\W_]", "", name.lower()): name for name in names}
        for name in missing:
            if meant := alike.get(name.replace("_", "")):
                hint += f" Write {name}, not {meant[:40]!r}."
        if {"annotation_id", "annotator"} <= {*names}:
            hint = " It is an export of Label Studio without what was cancelled: export JSON."
        found = ", ".join(names[:12])[:300]
        raise Refused(f"{path.name} lacks the column {', '.join(missing)}; it has: {ascii(found)[1:-1]}.{hint}")
    texts = sorted(name for name in names if TEXT.fullmatch(name))
    return [name for name in COLUMNS if name in names], sorted({*names} - {*COLUMNS, *texts}), texts


def _parquet(path: Path) -> Delivery:
    try:
        file = pq.ParquetFile(
            path, page_checksum_verification=True, thrift_string_size_limit=1 << 24, thrift_container_size_limit=1 << 20
        )
        shape, schema = file.metadata, file.schema_arrow  # a bomb says so here: 0.2 MB may hold ten million rows
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _no_parquet(path, error) from error
    for name, count, most in (
        ("rows", shape.num_rows, MOST_ROWS),
        ("columns", shape.num_columns, MOST_COLUMNS),
        ("row groups", shape.num_row_groups, MOST_ROW_GROUPS),
    ):
        if count > most:
            raise Refused(f"{path.name} has {count:,} {name}, more than {most:,}: deliver it in parts.")
    columns, ignored, texts = _check_columns(path, schema.names)
    for name in [*columns, *texts]:
        _check_type(path, name, schema.field(name).type)
    return Delivery(ignored, _parquet_parts(path, file, [*columns, *texts]), texts)


def _parquet_parts(path: Path, file: pq.ParquetFile, columns: list[str]) -> Iterator[Part]:
    number = 1
    try:
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=columns):
            batch.validate(full=True)
            yield Part(np.arange(number, number + len(batch)), batch, [])
            number += len(batch)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _no_parquet(path, error) from error


def _no_parquet(path: Path, error: Exception) -> Refused:
    return Refused(f"{path.name} is not a whole Parquet file ({first_line(error)}): deliver it again.")


def _check_type(path: Path, name: str, delivered: pa.DataType) -> None:
    """Raise Refused where a Parquet column has a type that would have to be guessed at; the list is closed."""
    kind = delivered.value_type if pa.types.is_dictionary(delivered) else delivered
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    is_integer = pa.types.is_integer(kind)
    is_number = is_integer or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    inner = kind.value_type if pa.types.is_list(kind) or pa.types.is_large_list(kind) else pa.null()
    if name == "best":
        right, wanted = is_number, "an integer, the 0-based option shown"
    elif name == "ranking":
        right, wanted = is_text or (pa.types.is_list(inner) and pa.types.is_integer(inner.value_type)), "lists or text"
    elif name == "flags":
        right, wanted = is_text or pa.types.is_string(inner), "text, or a list of it"
    elif name == "skip":
        right, wanted = is_text or pa.types.is_boolean(kind), "true or false"
    elif name in ("seconds", "confidence"):
        right, wanted = is_text or is_number, "a number"
    elif name == "answered_at":
        right, wanted = is_text or pa.types.is_timestamp(kind), "a time with its zone"
    else:
        right, wanted = is_text, "text"
    if not right and not (pa.types.is_null(kind) and name not in REQUIRED):
        raise Refused(f"{path.name}: the column {name} is {str(delivered)[:60]}; it must be {wanted}.")


def _csv(path: Path) -> Delivery:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = next(csv.reader(file, strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"{path.name} is neither Parquet nor UTF-8 text: deliver Parquet, or CSV in UTF-8.") from error
    if "\0" in "".join(names):
        raise Refused(f"{path.name} is text, but not UTF-8 (UTF-16, perhaps): deliver Parquet, or CSV in UTF-8.")
    columns, ignored, texts = _check_columns(path, names)
    return Delivery(ignored, _csv_parts(path, [*columns, *texts]), texts)


def _csv_parts(path: Path, columns: list[str]) -> Iterator[Part]:
    broken: dict[int, str] = {}

    def skip(row: pyarrow.csv.InvalidRow) -> str:
        broken[row.number - 1] = row.text  # its number counts the header
        return "skip" if len(broken) <= MOST_BROKEN else "error"

    as_text = pa.csv.ConvertOptions(
        column_types={name: pa.string() for name in columns}, include_columns=columns, strings_can_be_null=False
    )
    cells = pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip)
    lines = pa.csv.ReadOptions(use_threads=False, block_size=LONGEST_ROW)  # else rows have no numbers
    number, whole = 1, 0
    try:
        with pa.csv.open_csv(path, lines, cells, as_text) as reader:
            for batch in reader:
                numbers = np.arange(number, number + len(batch))
                gone = sorted(each for each in broken if each >= number)
                for each in gone:
                    numbers[numbers >= each] += 1
                mine = [each for each in gone if not len(batch) or each < numbers[-1]]
                number = int(numbers[-1]) + 1 if len(batch) else number
                whole += len(batch)
                yield Part(numbers, batch, [(each, broken[each]) for each in mine])
        if broken and not whole:
            raise Refused(
                f"{path.name} is not a whole CSV file: row {min(broken)}: has too few or too many cells, and so "
                "has every other one. Was a quote left open?"
            )
        if rest := [(each, text) for each, text in sorted(broken.items()) if each >= number]:
            yield Part(np.arange(0), pa.RecordBatch.from_pylist([], pa.schema([])), rest)
    except pa.ArrowInvalid as error:
        if "UTF8" in str(error):
            raise Refused(
                f"{path.name} is text, but not UTF-8 throughout: deliver Parquet, or CSV in UTF-8."
            ) from error
        raise Refused(f"{path.name} is not a whole CSV file ({first_line(error)}): deliver it again.") from error


def _json(path: Path) -> Delivery:
    """Read a full export of Label Studio, records of Argilla, or one answer an object: an array, or a line each."""
    found = _objects(path)
    first = list(islice(found, READ_FOR_NAMES))
    if not first:
        raise Refused(f"{path.name} has no rows: nothing was answered.")
    names = list(dict.fromkeys(_utf8(name) for row in first for name in row))  # a skip may leave out what others have
    everything, ours = chain(first, found), "question_id" in names
    if "annotations" in names and not ours:
        return Delivery([], _json_parts(label_studio.answers(everything)))
    if ({"responses", "fields"} <= {*names} or argilla.is_flat(names)) and not ours:
        return Delivery([], _json_parts(argilla.answers(everything)))
    if {"query", "sample0"} <= {*names}:
        raise Refused(f"{path.name} is a label file of the 2019 release: take it in with andon import.")
    _, ignored, texts = _check_columns(path, names)
    return Delivery(ignored, _json_parts(everything, texts), texts)


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of an array, of a page with an array as `items`, or of lines."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            head = file.read(64)
            page = PAGE.match(head) is not None
            lines = head.lstrip().startswith("{") and not page
            file.seek(0)
            if not lines and path.stat().st_size > MOST_BYTES_OF_JSON:
                raise Refused(
                    f"{path.name} is a JSON array of over {MOST_BYTES_OF_JSON:,} bytes: "
                    "deliver it in parts, or as Parquet."
                )
            content: Any = _lines(path, file) if lines else ONCE.decode(file.read())
            for row in content["items"] if page else content:
                if not isinstance(row, dict):
                    raise Refused(f"{path.name} is JSON without objects: deliver one object an answer.")
                yield row
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise Refused(f"{path.name} is not whole JSON in UTF-8 ({first_line(error)}): deliver it again.") from error


def _lines(path: Path, file: TextIO) -> Iterator[Any]:
    for number, line in enumerate((line for line in file if line.strip()), 1):
        try:
            yield ONCE.decode(line)
        except (ValueError, RecursionError) as error:
            why = error.msg if isinstance(error, json.JSONDecodeError) else first_line(error)
            raise Refused(
                f"{path.name}: row {number:,} is not a whole JSON object ({why}): deliver one a line, or an array."
            ) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object none of whose keys is there twice: which of two answers was meant, nobody knows."""
    if len(found := dict(pairs)) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)} is there twice")
    return found


ONCE = json.JSONDecoder(object_pairs_hook=_once)


def _json_parts(rows: Iterable[Mapping[str, Any]], texts: Sequence[str] = ()) -> Iterator[Part]:
    number, waiting = 1, iter(rows)
    while part := list(islice(waiting, ROWS_AT_ONCE)):
        columns = {
            name: pa.array([_as_text(row.get(name)) for row in part], pa.string()) for name in (*COLUMNS, *texts)
        }
        yield Part(np.arange(number, number + len(part)), pa.RecordBatch.from_pydict(columns), [])
        number += len(part)


def _as_text(value: object) -> str | None:
    """Write a value of JSON as a CSV file would."""
    if value is None or isinstance(value, str):
        return _utf8(value) if value else value
    return json.dumps(value)


def _utf8(text: str) -> str:
    """Return text that may hold half a surrogate pair, as JSON can write one, as text that files and logs can."""
    return text.encode("utf-8", "replace").decode()


def first_line(error: Exception) -> str:
    return ascii(str(error).splitlines()[0][:160].rstrip("."))[1:-1] if str(error) else type(error).__name__
