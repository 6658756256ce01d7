"""The questions of a batch as every adapter sees them: the vendor's own columns, row by row, in constant memory."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq


class Shown(NamedTuple):
    """One question as a labeler sees it."""

    question_id: str
    content_sha256: str
    instructions: str
    query: str
    options: list[str]


@dataclass(frozen=True)
class Questions:
    """The files of a batch that go to a vendor."""

    files: Sequence[Path]

    def __iter__(self) -> Iterator[Shown]:
        for file in self.files:
            for part in pq.ParquetFile(file).iter_batches(2_000):
                yield from (_shown(row) for row in part.to_pylist())


def _shown(row: dict[str, str]) -> Shown:
    options = [row[f"option_{position}"] for position in range(sum(name.startswith("option_") for name in row))]
    return Shown(row["question_id"], row["content_sha256"], row["instructions"], row["query"], options)


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    """Write lines of UTF-8 with Unix line ends."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(line + "\n" for line in lines)
    return path
