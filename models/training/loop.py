"""Long loops that show their progress, and the type of functions that look at the cord."""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from tqdm import tqdm

from data.console import say
from models.training.processes import processes

PROGRESS = re.compile(r"([a-zA-Z][a-zA-Z -]*): [a-z]+ ([\d,]+) of ([\d,]+)$")  # the log lines of progress()
T = TypeVar("T")
Look = Callable[[], None]  # raises if the line is stopped; long stages call it again and again


def unwatched() -> None:
    """Do nothing: the look of work that no pull can stop."""


def in_chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield consecutive parts of at most `size` items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def progress(steps: range, title: str, unit: str, first: int = 0) -> Iterator[int]:
    """Yield the steps from `first` on, with a bar on a terminal, or a line for every tenth (PROGRESS) in a log."""
    total, in_a_log = len(steps), not sys.stderr.isatty()
    bar = tqdm(steps[first:], desc=title, unit=unit, disable=None, leave=False, initial=first, total=total)
    for done, step in enumerate(bar, first + 1):
        yield step
        if in_a_log and 10 * done // total > 10 * (done - 1) // total and processes().is_main:
            say(f"{title}: {unit} {done:,} of {total:,}")
