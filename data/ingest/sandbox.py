"""Untrusted files are read in a child process with limits: the parent gets rows of one schema, and a verdict.

A file that makes a reader run out of memory or time, or crash, is refused in one line and harms nothing else. The child
is this module run on its own; it sets its limits before it opens the file, and knows neither store nor key.
"""

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from andon_launcher import command
from data.errors import Refused
from data.escape import first_line
from data.ingest.codes import FileRefused, RefusalCode
from data.ingest.parse import PARSED, parse_rows
from data.ingest.reader import MOST_BYTES, open_answers

AT_ONCE = 100_000  # rows
MEMORY = 3 << 30  # bytes of address space
SECONDS = 300  # of CPU


class ParsedFile(NamedTuple):
    """The rows of a delivered file, on disk."""

    path: Path
    total: int
    ignored: list[str]  # columns that are not part of the contract
    texts: list[str] = []  # columns of texts that came back, which the rows have one hash of

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in large parts, each one checked."""
        return self.columns(*PARSED.names)

    def columns(self, *names: str) -> Iterator[pa.RecordBatch]:
        """Yield some columns of the rows, in the order of PARSED and in large parts, each one checked."""
        wanted = pa.ipc.IpcReadOptions(included_fields=[PARSED.names.index(name) for name in names])
        with pa.OSFile(str(self.path)) as file, pa.ipc.open_file(file, options=wanted) as rows:
            if rows.schema != pa.schema([field for field in PARSED if field.name in names]):
                raise Refused("The reader of answer files wrote something else than rows: is the installation whole?")
            waiting: list[pa.RecordBatch] = []
            for number in range(rows.num_record_batches):
                waiting.append(rows.get_batch(number))
                waiting[-1].validate(full=True)
                if number + 1 == rows.num_record_batches or sum(map(len, waiting)) >= AT_ONCE:
                    yield pa.Table.from_batches(waiting).combine_chunks().to_batches()[0]
                    waiting.clear()
                    pa.default_memory_pool().release_unused()


def read_sandboxed(delivery: Path, rows: Path, memory: int = MEMORY, seconds: int = SECONDS) -> ParsedFile:
    """Read a delivered file in a child process into the file `rows`; raise FileRefused if it cannot be read."""
    limits = [str(memory), str(seconds)]
    quiet = {"PATH": os.defpath, "ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"}
    child = command("data.ingest.sandbox", str(delivery), str(rows), *limits)
    try:
        done = subprocess.run(child, env=quiet, stdin=subprocess.DEVNULL, capture_output=True, timeout=10 * seconds)
        outcome = json.loads(done.stdout)
    except (ValueError, subprocess.TimeoutExpired):
        raise FileRefused(
            RefusalCode.UNREADABLE,
            f"{delivery.name} cannot be read within {memory >> 20:,} MB and {seconds} seconds: its reader was stopped, "
            "and nothing was taken. Deliver it in parts, or as Parquet.",
        ) from None
    if "refused" in outcome:
        raise FileRefused(RefusalCode.UNREADABLE, outcome["refused"])
    return ParsedFile(rows, outcome["rows"], outcome["ignored"], outcome["texts"])


def _read_into(delivery: Path, rows: Path) -> dict[str, Any]:
    count = 0
    try:
        found = open_answers(delivery)
        with pa.OSFile(str(rows), "wb") as file, pa.ipc.new_file(file, PARSED, options=PACKED) as written:
            for part in found.chunks:
                written.write_batch(batch := parse_rows(part, delivery.name))
                count += len(batch)
    except Refused as refusal:
        return {"refused": str(refusal)}
    except (MemoryError, ImportError):
        raise  # a limit, which the parent names
    except Exception as error:  # an unforeseen error is reported as it is
        if isinstance(error, OSError) and error.errno == errno.EFBIG:
            raise
        return {
            "refused": f"{delivery.name} cannot be understood, near row {count + 1:,} ({type(error).__name__}: "
            f"{first_line(error)}). Nothing was taken. Deliver it again, as Parquet or CSV with the columns of "
            "docs/data-dictionary.md."
        }
    return {"rows": count, "ignored": found.ignored, "texts": found.texts}


PACKED = pa.ipc.IpcWriteOptions(compression="lz4")


def _limit(memory: int, seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 * MOST_BYTES, 4 * MOST_BYTES))


if __name__ == "__main__":
    _limit(int(sys.argv[3]), int(sys.argv[4]))
    sys.stdout.write(json.dumps(_read_into(Path(sys.argv[1]), Path(sys.argv[2]))))
