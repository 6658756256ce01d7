"""The questions of a batch as every adapter sees them: the vendor's own columns, row by row, in constant memory."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from data.campaign.settings import Ask

OTHER_FORM = (AttributeError, IndexError, KeyError, TypeError, ValueError)  # what reading another form than ours raises
STOP = "stop_run"  # the flag that pulls the cord


class ShownQuestion(NamedTuple):
    """One question as a labeler sees it."""

    question_id: str
    content_sha256: str
    instructions: str
    query: str
    options: list[str]


@dataclass(frozen=True)
class Questions:
    """The files of a batch that go to a vendor, and what its campaign asks of labelers."""

    files: Sequence[Path]
    ask: Ask = Ask()

    def __iter__(self) -> Iterator[ShownQuestion]:
        for file in self.files:
            for part in pq.ParquetFile(file).iter_batches(2_000, use_threads=False):  # threads keep memory each
                yield from (_shown(row) for row in part.to_pylist())

    def first(self) -> ShownQuestion:
        """Return the first question; all have as many options."""
        return next(islice(iter(self), 1))


def _shown(row: dict[str, str]) -> ShownQuestion:
    options = [row[name] for name in option_names(sum(name.startswith("option_") for name in row))]
    return ShownQuestion(row["question_id"], row["content_sha256"], row["instructions"], row["query"], options)


def option_names(count: int) -> list[str]:
    """Name the options of a question by the position at which each is shown."""
    return [f"option_{position}" for position in range(count)]


def position_of(name: object) -> object:
    """Return the position that an option's name holds, or what was given where it is no such name."""
    digits = str(name).removeprefix("option_")
    return int(digits) if digits != str(name) and digits.isdecimal() and digits.isascii() else name


def unreadable(said: object) -> dict[str, str]:
    """Return what an export says in no form that is known as an answer, so that its row is set aside with all of it."""
    return {"best": f"unreadable: {json.dumps(said)}"}


def rating_names(ask: Ask, count: int) -> list[str]:
    """Name the ratings that are asked for, one an axis and option."""
    return [f"{axis}_{option}" for axis in ask.axes for option in option_names(count)]


def ratings_of(given: dict[str, object], count: int) -> dict[str, list[object]]:
    """Return ratings by axis from ratings by name; None where an option was not rated."""
    axes = dict.fromkeys(name.partition("_option_")[0] for name in given)
    return {axis: [given.get(f"{axis}_{option}") for option in option_names(count)] for axis in axes}


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    """Write lines of UTF-8 with Unix line ends."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(line + "\n" for line in lines)
    return path
