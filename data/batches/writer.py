"""The files of a batch, written with memory that does not grow with the number of its questions.

Rows are in the order of their random ids, but questions come in another order. So every question is first written to a
bucket, a file on disk, by the beginning of its id. Then each bucket is sorted and written.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.batches.schema import KEY_SCHEMA, PARQUET, ROWS_PER_FILE, Question, key_row, to_vendor, write_part
from data.paths import KEY_FILE

ROWS_A_BUCKET = 2_500
MOST_BUCKETS = 500  # number of files that are open at the same time
AT_ONCE = 2_000  # questions in memory as Python objects
BUCKET_DIGITS = 4
AS_HEX = str.maketrans("bcdfghjkmnpqrstv", "0123456789abcdef")  # the letters of an id, in their order

Numbered = tuple[int, Question]


def write_batch(
    questions: Iterable[Numbered], count: int, instructions: str, secret: bytes, folder: Path
) -> dict[str, Path | bytes]:
    """Blind `count` questions and write the vendor's files and the key; return paths by their names in the batch.

    The questions come with their numbers, in any order. The files have the tables of data.batches.schema.blind.
    """
    buckets = _bucket(questions, count, instructions, secret, folder)
    key = folder / "key.parquet"
    with pq.ParquetWriter(key, KEY_SCHEMA, **PARQUET) as written:
        parts = groupby(_by_part(_blinded(buckets, written, instructions)), itemgetter(0))
        files: dict[str, Path | bytes] = dict(write_part((rows for _, rows in part), n, folder) for n, part in parts)
    return files | {KEY_FILE: key}


def _by_part(tables: Iterable[pa.Table]) -> Iterator[tuple[int, pa.Table]]:
    """Yield rows in their order, with the number of their file of ROWS_PER_FILE rows."""
    done = 0
    for table in tables:
        start = 0
        while start < len(table):
            number, in_file = divmod(done, ROWS_PER_FILE)
            rows = table.slice(start, ROWS_PER_FILE - in_file)
            yield number + 1, rows
            start, done = start + len(rows), done + len(rows)


def _bucket(questions: Iterable[Numbered], count: int, instructions: str, secret: bytes, folder: Path) -> list[Path]:
    """Write the rows of the key to buckets by the beginning of their ids; return the buckets in the order of ids."""
    number = min(MOST_BUCKETS, -(-count // ROWS_A_BUCKET))
    paths = [folder / f"bucket-{bucket}.arrow" for bucket in range(number)]
    waiting = iter(questions)
    written = 0
    with ExitStack() as stack:
        buckets = [stack.enter_context(pa.ipc.new_stream(str(path), KEY_SCHEMA)) for path in paths]
        while block := list(islice(waiting, AT_ONCE)):
            written += len(block)
            rows = [key_row(index, question, instructions, secret) for index, question in block]
            bucket = np.array([_bucket_of(row["question_id"], number) for row in rows])
            sorted_rows = pa.RecordBatch.from_pylist(rows, KEY_SCHEMA).take(np.argsort(bucket, kind="stable"))
            ends = np.searchsorted(np.sort(bucket), np.arange(number + 1))
            for n in np.unique(bucket).tolist():
                buckets[n].write_batch(sorted_rows.slice(ends[n], ends[n + 1] - ends[n]))
    if written != count:
        raise ValueError(f"got {written} questions, expected {count}")
    return paths


def _bucket_of(question_id: str, number: int) -> int:
    """Return the bucket of an id, from 0 to `number` - 1. Ids in later buckets are greater."""
    share = int(question_id[1 : 1 + BUCKET_DIGITS].translate(AS_HEX), 16)  # of 16 ** BUCKET_DIGITS
    return share * number >> 4 * BUCKET_DIGITS


def _blinded(buckets: Iterable[Path], key: pq.ParquetWriter, instructions: str) -> Iterator[pa.Table]:
    """Sort each bucket, write its rows to the key, and yield the vendor's table of them."""
    for path in buckets:
        rows = _read(path).sort_by("question_id")
        path.unlink()
        key.write_table(rows)
        vendor = to_vendor(rows, instructions)
        del rows  # frees memory before the next bucket is read
        yield vendor


def _read(bucket: Path) -> pa.Table:
    with pa.OSFile(str(bucket)) as file, pa.ipc.open_stream(file) as stream:
        return stream.read_all()
