"""The courier: hands pulls on to the store in a thread of its own, for callers that must not wait.

If the store hangs, or is out of reach, the courier tries again until the store has every pull. The pulls themselves are
in the spool, so nothing is lost if the process ends before that.
"""

import threading
from collections.abc import Iterable
from contextlib import suppress

from data.cord import spool
from data.cord.entries import Pull
from data.store import Store

PATIENCE_S = 1.5  # seconds that the first callers wait; while the store hangs, the next ones do not wait
LONGEST_REST_S = 30.0  # seconds between two tries


class Courier:
    """Hands on the pulls of one process to one store."""

    def __init__(self, store: Store, patience_s: float = PATIENCE_S) -> None:
        self.store, self._patience_s = store, patience_s
        self._changed = threading.Condition()
        self._bag: dict[str, Pull] = {}  # what is to be handed on
        self._results: dict[str, int | None] = {}  # of awaited pulls: the number, None after a failure
        self._awaited: set[str] = set()
        self._thread: threading.Thread | None = None
        self._slow = False  # whether the store has kept somebody waiting in vain since it last took a pull

    def hand_on(self, made: Pull) -> int | None:
        """Return the number of a pull in the log; None if the store has not taken it by now, and it is tried again."""
        with self._changed:
            self._awaited.add(made.pull)
            self._put([made])
            tried = self._changed.wait_for(lambda: made.pull in self._results, 0 if self._slow else self._patience_s)
            self._slow = not tried
            self._awaited.discard(made.pull)
            return self._results.pop(made.pull, None)

    def take(self, pulls: Iterable[Pull]) -> None:
        """Hand on pulls that nobody waits for."""
        with self._changed:
            self._put(pulls)

    def wait(self, timeout_s: float) -> bool:
        """Wait until everything is handed on, and return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._bag, timeout_s)

    def _put(self, pulls: Iterable[Pull]) -> None:
        self._bag |= {made.pull: made for made in pulls}
        if self._bag and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="courier", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _run(self) -> None:
        rest_s = 0.5
        while True:
            with self._changed:
                bag = list(self._bag.values())
                if not bag:
                    self._thread = None
                    return
            if all([self._try(made) for made in bag]):
                rest_s = 0.5
                continue
            with self._changed:
                self._changed.wait(rest_s)  # a new pull wakes it
            rest_s = min(2 * rest_s, LONGEST_REST_S)

    def _try(self, made: Pull) -> bool:
        number: int | None = None
        with suppress(Exception):  # whatever keeps the store from taking it must not cost the pull
            number = spool.hand_on(self.store, made)
        with self._changed:
            if number is not None:
                self._bag.pop(made.pull, None)
                self._slow = False
            if made.pull in self._awaited:
                self._results[made.pull] = number
            self._changed.notify_all()
        return number is not None
