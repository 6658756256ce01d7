"""The files of a batch, written in memory that does not grow with the number of its questions.

Rows lie in the order of their random ids, which no stream of questions has. So every question goes onto a shelf by the
beginning of its id, a file on disk; then one shelf after the other is sorted and written.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.batches.schema import KEY, PARQUET, ROWS_PER_FILE, Question, key_row, to_vendor, write_part

ROWS_A_SHELF = 2_500
MOST_SHELVES = 500  # they are all open at once
AT_ONCE = 2_000  # questions in memory as Python objects
SHELF_DIGITS = 4
AS_HEX = str.maketrans("bcdfghjkmnpqrstv", "0123456789abcdef")  # the letters of an id, in their order

Numbered = tuple[int, Question]


def write_batch(
    asked: Iterable[Numbered], count: int, instructions: str, secret: bytes, folder: Path
) -> dict[str, Path | bytes]:
    """Blind `count` questions and write the vendor's files and the key; return their names in the batch and paths.

    Each question comes with its number in the batch; they may come in any order. The files hold the tables that
    data.batches.schema.blind makes.
    """
    shelves = _shelve(asked, count, instructions, secret, folder)
    key = folder / "key.parquet"
    with pq.ParquetWriter(key, KEY, **PARQUET) as written:
        parts = groupby(_by_part(_blinded(shelves, written, instructions)), itemgetter(0))
        files: dict[str, Path | bytes] = dict(write_part((rows for _, rows in part), n, folder) for n, part in parts)
    return files | {"key/samples.parquet": key}


def _by_part(tables: Iterable[pa.Table]) -> Iterator[tuple[int, pa.Table]]:
    """Yield rows as they come, with the number of the file of ROWS_PER_FILE that they belong to."""
    done = 0
    for table in tables:
        start = 0
        while start < len(table):
            number, there = divmod(done, ROWS_PER_FILE)
            rows = table.slice(start, ROWS_PER_FILE - there)
            yield number + 1, rows
            start, done = start + len(rows), done + len(rows)


def _shelve(asked: Iterable[Numbered], count: int, instructions: str, secret: bytes, folder: Path) -> list[Path]:
    """Spread the rows of the key over shelves by the beginning of their ids; return these, in the order of ids."""
    number = min(MOST_SHELVES, -(-count // ROWS_A_SHELF))
    paths = [folder / f"shelf-{shelf}.arrow" for shelf in range(number)]
    questions = iter(asked)
    taken = 0
    with ExitStack() as stack:
        shelves = [stack.enter_context(pa.ipc.new_stream(str(path), KEY)) for path in paths]
        while block := list(islice(questions, AT_ONCE)):
            taken += len(block)
            rows = [key_row(index, question, instructions, secret) for index, question in block]
            shelf = np.array([_shelf(row["question_id"], number) for row in rows])
            sorted_rows = pa.RecordBatch.from_pylist(rows, KEY).take(np.argsort(shelf, kind="stable"))
            ends = np.searchsorted(np.sort(shelf), np.arange(number + 1))
            for each in np.unique(shelf).tolist():
                shelves[each].write_batch(sorted_rows.slice(ends[each], ends[each + 1] - ends[each]))
    if taken != count:
        raise ValueError(f"{taken} questions came, and {count} were said to come")
    return paths


def _shelf(question_id: str, number: int) -> int:
    """Return which of so many shelves an id lies on: ids on later shelves are greater."""
    share = int(question_id[1 : 1 + SHELF_DIGITS].translate(AS_HEX), 16)  # of 16 ** SHELF_DIGITS
    return share * number >> 4 * SHELF_DIGITS


def _blinded(shelves: Iterable[Path], key: pq.ParquetWriter, instructions: str) -> Iterator[pa.Table]:
    """Read one shelf after the other, write its rows in their order into the key, and yield what a vendor sees."""
    for path in shelves:
        rows = _read(path).sort_by("question_id")
        path.unlink()
        key.write_table(rows)
        vendor = to_vendor(rows, instructions)
        del rows  # not kept while the next shelf is read
        yield vendor


def _read(shelf: Path) -> pa.Table:
    with pa.OSFile(str(shelf)) as file, pa.ipc.open_stream(file) as stream:
        return stream.read_all()
