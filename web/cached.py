"""What was read last, read again in the background: a store that hangs keeps nobody waiting.

Whoever asks first after a value is too old waits for the new one for a second. If the store hangs, one thread waits for
it, and everybody else gets the old value at once.
"""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from data.errors import Unavailable

T = TypeVar("T")
PATIENCE_S = 1.0  # seconds after the beginning of a read for which somebody waits for it


class Cached(Generic[T]):
    """The result of `read`, at most `fresh_s` seconds old unless reading takes long or fails."""

    def __init__(self, read: Callable[[], T], fresh_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._fresh_s, self._clock = read, fresh_s, clock
        self._changed = threading.Condition()
        self._values: list[T] = []  # the last one, or none yet
        self._error: Exception | None = None  # of the last read
        self._ended = float("-inf")  # when the last read ended
        self._began: float | None = None  # when the read in progress began
        self._expired = False  # whether the read in progress began too early

    def get(self) -> T:
        """Return the value, or an older one if the store does not answer; raise the read's error if there is none."""
        with self._changed:
            while self._clock() - self._ended > self._fresh_s:
                began = self._begin()
                if not self._changed.wait(max(0.0, began + PATIENCE_S - self._clock())):
                    break
            if self._error is not None and not (self._values and isinstance(self._error, (OSError, Unavailable))):
                raise self._error
            if not self._values:
                raise Unavailable("The store does not answer.")
            return self._values[0]

    def last(self) -> T | None:
        """Return the newest value without waiting, and have it read again if it is too old."""
        with self._changed:
            if self._clock() - self._ended > self._fresh_s:
                self._begin()
            return self._values[0] if self._values else None

    def expire(self) -> None:
        """Make the next `get` read again: something was changed."""
        with self._changed:
            self._ended, self._expired = float("-inf"), self._began is not None

    def _begin(self) -> float:
        if self._began is None:
            self._began, self._expired = self._clock(), False
            threading.Thread(target=self._run, name="read again", daemon=True).start()
        return self._began

    def _run(self) -> None:
        value: list[T] = []
        error: Exception | None = None
        try:
            value.append(self._read())
        except Exception as failure:  # it is raised for whoever asks
            error = failure
        with self._changed:
            self._values = value or self._values
            self._error = error
            self._ended = float("-inf") if self._expired else self._clock()
            self._began = None
            self._changed.notify_all()
