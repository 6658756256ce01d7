"""The questions of a batch for all formats: the columns of the vendor's files, row by row, in constant memory."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow.parquet as pq

from data.answers.base import option_names

if TYPE_CHECKING:  # the child that reads an answer file starts a third faster without campaigns
    from data.campaign.settings import Ask

OTHER_FORM = (
    AttributeError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
)  # errors from reading a value of another form
STOP = "stop_run"  # the flag that pulls the cord


class ShownQuestion(NamedTuple):
    """One question as a labeler sees it."""

    question_id: str
    content_sha256: str
    instructions: str
    query: str
    options: list[str]


def _nothing_more() -> "Ask":
    from data.campaign.settings import Ask

    return Ask()


@dataclass(frozen=True)
class Questions:
    """The files of a batch for a vendor, and the `[ask]` of its campaign."""

    files: Sequence[Path]
    ask: "Ask" = field(default_factory=_nothing_more)

    def __iter__(self) -> Iterator[ShownQuestion]:
        for file in self.files:
            for part in pq.ParquetFile(file).iter_batches(2_000, use_threads=False):  # each thread would keep memory
                yield from (_shown(row) for row in part.to_pylist())

    def first(self) -> ShownQuestion:
        """Return the first question. All questions have the same number of options."""
        return next(islice(iter(self), 1))


def _shown(row: dict[str, str]) -> ShownQuestion:
    options = [row[name] for name in option_names(sum(name.startswith("option_") for name in row))]
    return ShownQuestion(row["question_id"], row["content_sha256"], row["instructions"], row["query"], options)


def unreadable(answer: object) -> dict[str, str]:
    """Return a row for an answer of unknown form, so that it is quarantined with its whole text."""
    return {"best": f"unreadable: {json.dumps(answer)}"}


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    """Write lines of UTF-8 with Unix line ends."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(line + "\n" for line in lines)
    return path
