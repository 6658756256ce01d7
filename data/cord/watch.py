"""How a training watches the cord: one cheap look after another, and no step out of sight of it.

A look lists the log's keys and reads it only where there are more of them than before. Looking takes a twentieth of the
time at most, and never waits more than a second. Where the store is out of reach nobody could stop the training, so it
waits, looks again, and gives up after `timeout_s` seconds.
"""

import time
from collections.abc import Callable
from typing import Any

from data.cord import cord
from data.cord.entries import Pull, stopped_by
from data.errors import Refused, StoreUnreachable
from data.paths import CORD_LOG, label_sets_prefix
from data.store import Store, hurried, log

LONGEST_REST, SHARE = 1.0, 20  # seconds between looks; one part in so many of the time may go into looking
BETWEEN_TRIES = 0.5  # seconds


class Watch:
    """The eyes of one training on the cord."""

    def __init__(
        self,
        store: Store,
        campaign: str,
        run: str,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Any] = time.sleep,
    ) -> None:
        """`timeout_s` is how many seconds the store may be out of reach; clock and sleep are for tests."""
        self.store, self.campaign, self.run, self.timeout_s = hurried(store), campaign, run, timeout_s
        self.clock, self.sleep = clock, sleep
        self.entries: int | None = None  # that the log had at the last look
        self.next = float("-inf")

    def poll(self) -> None:
        """Raise Stopped where a pull stops this run, and StoreUnreachable where nobody could tell for too long."""
        began = self.clock()
        if began < self.next:
            return
        if still := self._pulls():
            raise stopped_by(still)
        ended = self.clock()
        self.next = ended + min(LONGEST_REST, SHARE * (ended - began))

    def _pulls(self) -> list[Pull]:
        """Return the open pulls that stop this run; wait for a store that is out of reach."""
        since = self.clock()
        while True:
            try:
                return self._read()
            except Exception as error:  # whatever it is, we do not see the cord
                waited = self.clock() - since
                if waited >= self.timeout_s:
                    raise StoreUnreachable(
                        f"Training stops: for {waited:.0f} s nobody could have stopped it, since the cord in "
                        f"{self.store.uri} cannot be read ({error}). Run the same command again when it can."
                    ) from error
            self.sleep(BETWEEN_TRIES)

    def _read(self) -> list[Pull]:
        waiting = [made for made in cord.replay(self.store) if made.stops(self.campaign, self.run)]
        entries = len(log.entry_keys(self.store, CORD_LOG))
        if self.entries is None or entries > self.entries:
            found = cord.open_pulls(self.store, self.campaign, self.run)
        elif entries < self.entries:
            raise Refused(f"{self.entries - entries} entries of the log {CORD_LOG} are gone")
        else:
            found = waiting
        if not found and not entries and not self.store.keys(label_sets_prefix(self.campaign)):
            raise Refused("there is nothing of the campaign there, as in a folder that is not mounted")
        if not found:
            self.entries = entries
        return found
