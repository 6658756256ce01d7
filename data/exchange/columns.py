"""Answer files of any format: their columns, their limits, and their rows in chunks."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.batches.contract import ALL_COLUMNS, ONE_OF, REQUIRED, TEXT_COLUMN
from data.errors import Refused
from data.escape import in_ascii

MOST_ROWS, MOST_COLUMNS = 5_000_000, 64
ROWS_AT_ONCE = 50_000


class Chunk(NamedTuple):
    """Some rows of a file."""

    numbers: NDArray[np.int64]  # number of each row, from 1
    columns: pa.RecordBatch  # the columns of the contract and of texts that the file has
    broken: list[tuple[int, str]]  # unreadable rows: number, text


class AnswerFile(NamedTuple):
    """A file that is being read: the names of its ignored columns, its rows, and the names of its columns of texts."""

    ignored: list[str]
    chunks: Iterator[Chunk]
    texts: list[str] = []


def check_columns(path: Path, names: list[str]) -> tuple[list[str], list[str], list[str]]:
    """Return the names of the columns to read, of ignored ones, and of texts; raise Refused if one is missing."""
    if len(names) > MOST_COLUMNS:
        raise Refused(f"{path.name} has {len(names):,} columns, more than {MOST_COLUMNS}: deliver only the answers.")
    if (unnamed := names.count("")) > 1:
        raise Refused(f"{path.name} has {unnamed} columns without a name: remove the empty ones and name the others.")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise Refused(f"{path.name} has the column {in_ascii(repeated[0][:40])} twice: keep one.")
    missing = [name for name in REQUIRED if name not in names]
    if not set(ONE_OF) & set(names):
        missing.append("best")
    if missing:
        hint = " Separate columns by commas." if len(names) == 1 and re.search(r"[;\t|]", names[0]) else ""
        alike = {re.sub(r"[\W_]", "", name.lower()): name for name in names}
        for name in missing:
            if similar := alike.get(name.replace("_", "")):
                hint += f" Write {name}, not {similar[:40]!r}."
        if {"annotation_id", "annotator"} <= {*names}:
            hint = " It is an export of Label Studio without cancelled tasks: export JSON."
        present = ", ".join(names[:12])[:300]
        raise Refused(f"{path.name} lacks the column {', '.join(missing)}; it has: {in_ascii(present)}.{hint}")
    texts = sorted(name for name in names if TEXT_COLUMN.fullmatch(name))
    return [name for name in ALL_COLUMNS if name in names], sorted({*names} - {*ALL_COLUMNS, *texts}), texts
