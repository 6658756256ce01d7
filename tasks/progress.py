"""How far the trainings of a flow run have come, as bars on its page in Prefect."""

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
    """Show how far the trainings inside have come, as the lines that they say tell it."""
    bars = _Bars()
    LOGGER.addHandler(bars)
    try:
        yield
    finally:
        LOGGER.removeHandler(bars)


class _Bars(logging.Handler):
    """A bar for each training that says `title: unit 3 of 10`."""

    def __init__(self) -> None:
        super().__init__()
        self.bars: dict[str, UUID | None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if (found := PROGRESS.search(record.getMessage())) is None:
            return
        title, done, total = found.groups()
        share, said = 100 * _number(done) / _number(total), f"{title}: {done} of {total}"
        bar = self.bars.get(title)
        if bar is None:
            shown = artifacts.create_progress_artifact
            self.bars[title] = show_artifact(shown, f"progress-{title}", progress=share, description=said)
        else:
            show_artifact(artifacts.update_progress_artifact, artifact_id=bar, progress=share, description=said)


def _number(shown: str) -> int:
    return int(shown.replace(",", ""))
