"""A long loop that looks at the cord and shows how far it is."""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from tqdm import tqdm

from data.console import say
from models.training.processes import processes

PROGRESS = re.compile(r"([a-zA-Z][a-zA-Z -]*): [a-z]+ ([\d,]+) of ([\d,]+)$")  # what progress() says in a log


T = TypeVar("T")


Look = Callable[[], None]  # looks whether the line is stopped, and raises then; long stages call it as they go


def unwatched() -> None:
    """Look at nothing: what runs outside of a run that somebody could stop."""


def in_chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def progress(steps: range, title: str, unit: str, first: int = 0) -> Iterator[int]:
    """Go through the steps from `first` on: with a bar on a terminal, with a line every tenth (PROGRESS) in a log."""
    total, in_a_log = len(steps), not sys.stderr.isatty()
    bar = tqdm(steps[first:], desc=title, unit=unit, disable=None, leave=False, initial=first, total=total)
    for done, step in enumerate(bar, first + 1):
        yield step
        if in_a_log and 10 * done // total > 10 * (done - 1) // total and processes().is_main:
            say(f"{title}: {unit} {done:,} of {total:,}")
