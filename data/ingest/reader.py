"""Answer files as tables: what a vendor delivered is Parquet, CSV or JSON by its first bytes, whatever its name says.

A file whose rows cannot be trusted to be rows is refused here.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.answers import BY_NAME
from data.batches.contract import REQUIRED
from data.errors import Refused
from data.escape import first_line
from data.ingest.columns import MOST_COLUMNS, MOST_ROWS, ROWS_AT_ONCE, Delivery, Part, check_columns
from data.ingest.reader_csv import read_csv
from data.ingest.reader_json import read_json

MOST_BYTES = 2 << 30
MOST_ROW_GROUPS = 10_000
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
        found = read_json(path)
    else:
        found = read_csv(path)
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
    columns, ignored, texts = check_columns(path, schema.names)
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
    if name in BY_NAME:
        right, wanted = BY_NAME[name].takes(kind), BY_NAME[name].parquet
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
