"""The batches that a server asks: one after the other, as the campaign publishes them."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from data.errors import Refused
from data.page.answers import PageQuestion
from web.desk import Desk

LOOK_AGAIN = 15.0  # seconds between two looks for a newer batch


class Desks:
    """The desks of all batches that this server has asked, the newest one last.

    `newer` returns the desk of a batch that is newer than the given one, or None; it is called if a labeler has nothing
    left. `finished` is called once for each batch, with its name, when its last question is answered.
    """

    def __init__(
        self,
        first: Desk,
        newer: Callable[[Desk], Desk | None] = lambda desk: None,
        finished: Callable[[str], None] = lambda batch: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._desks, self._newer, self._finished, self._clock = [first], newer, finished, clock
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._reported = {first.batch} if first.finished else set()

    @property
    def last(self) -> Desk:
        return self._desks[-1]

    def of(self, question_id: str) -> Desk | None:
        """Return the desk that asks a question."""
        return next((desk for desk in self._desks if question_id in desk.questions), None)

    def next_for(self, labeler: str, wanted: str | None = None) -> tuple[Desk, PageQuestion | None]:
        """Return a question for a labeler and its desk; batches that began earlier come first."""
        for desk in list(self._desks):
            if question := desk.next_for(labeler, wanted):
                return desk, question
        if self._follow():
            return self.next_for(labeler, wanted)
        return self.last, None

    def desk_for(self, labeler: str) -> Desk:
        """Return the desk of the next question for a labeler, without handing it out."""
        return next((desk for desk in list(self._desks) if desk.has_for(labeler)), self.last)

    def answered_by(self, labeler: str) -> list[tuple[Desk, str]]:
        """Return all questions that a labeler answered here, the last one first."""
        return [(desk, question) for desk in reversed(self._desks) for question in desk.answered_by(labeler)]

    def report_finished(self) -> None:
        """Report every batch whose last question has been answered, each once."""
        with self._lock:
            finished = [desk.batch for desk in self._desks if desk.finished and desk.batch not in self._reported]
            self._reported.update(finished)
        for batch in finished:
            self._finished(batch)

    def _follow(self) -> bool:
        """Look for a newer batch from time to time; return whether there is one now."""
        with self._lock:
            if self._clock() - self._looked_at < LOOK_AGAIN:
                return False
            self._looked_at = self._clock()
            desk = None
            with suppress(OSError, Refused):  # the store does not answer: the next look may find more
                desk = self._newer(self.last)
            if desk is not None:
                self._desks.append(desk)
                if desk.finished:
                    self._reported.add(desk.batch)
            return desk is not None
