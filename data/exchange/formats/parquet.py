"""Parquet: what a batch is published in, and the safest way for answers to come back."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.answers import BY_NAME
from data.batches.contract import REQUIRED
from data.errors import Refused
from data.escape import first_line
from data.exchange.columns import MOST_COLUMNS, MOST_ROWS, ROWS_AT_ONCE, AnswerFile, Chunk, check_columns
from data.exchange.content import Content
from data.exchange.format import Format
from data.exchange.questions import Questions

MOST_ROW_GROUPS = 10_000


def write(questions: Questions, folder: Path) -> list[Path]:
    """Copy the files of the batch, which are Parquet already."""
    copies = [folder / f"questions-{number:04d}.parquet" for number in range(1, len(questions.files) + 1)]
    for file, copy in zip(questions.files, copies, strict=True):
        shutil.copyfile(file, copy)
    return copies


def read(content: Content) -> AnswerFile:
    path = content.path
    try:
        file = pq.ParquetFile(
            path, page_checksum_verification=True, thrift_string_size_limit=1 << 24, thrift_container_size_limit=1 << 20
        )
        shape, schema = file.metadata, file.schema_arrow  # a bomb says so here: 0.2 MB may hold ten million rows
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _damaged(path, error) from error
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
    return AnswerFile(ignored, _chunks(path, file, [*columns, *texts]), texts)


def _chunks(path: Path, file: pq.ParquetFile, columns: list[str]) -> Iterator[Chunk]:
    number = 1
    try:
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=columns):
            batch.validate(full=True)
            yield Chunk(np.arange(number, number + len(batch)), batch, [])
            number += len(batch)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> Refused:
    return Refused(f"{path.name} is not a whole Parquet file ({first_line(error)}): deliver it again.")


def _check_type(path: Path, name: str, delivered: pa.DataType) -> None:
    """Raise Refused if a Parquet column has a type that would have to be guessed at; the list is closed."""
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


FORMAT = Format(
    name="parquet",
    help="Parquet with typed columns, as every batch is published",
    write_questions=write,
    recognise=lambda content: content.head.startswith(b"PAR1"),
    read=read,
)
