"""Progress bars of the trainings of a flow run, on its page in Prefect."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from prefect import artifacts

from data.console import LOGGER
from models.training.loop import PROGRESS
from tasks.artifacts import show_artifact


@contextmanager
def progress_shown() -> Iterator[None]:
    """Show the progress of the trainings inside, which their log lines tell."""
    bars = _Bars()
    LOGGER.addHandler(bars)
    try:
        yield
    finally:
        LOGGER.removeHandler(bars)


class _Bars(logging.Handler):
    """A handler of log lines with one bar for each training that logs `title: unit 3 of 10`."""

    def __init__(self) -> None:
        super().__init__()
        self.bars: dict[str, UUID | None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if (match := PROGRESS.search(record.getMessage())) is None:
            return
        title, done, total = match.groups()
        percent, text = 100 * _number(done) / _number(total), f"{title}: {done} of {total}"
        bar = self.bars.get(title)
        if bar is None:
            make = artifacts.create_progress_artifact
            self.bars[title] = show_artifact(make, f"progress-{title}", progress=percent, description=text)
        else:
            show_artifact(artifacts.update_progress_artifact, artifact_id=bar, progress=percent, description=text)


def _number(text: str) -> int:
    return int(text.replace(",", ""))
