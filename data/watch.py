"""How a training looks at the cord: often, cheaply, and never on past a store that it cannot see."""

import time
from collections.abc import Callable

from data.cord import PREFIX, Pull, open_pulls, replay
from data.refused import Refused
from data.store import Store

LOOK_EVERY_S = 1.0
PAUSE_S = 1.0


class Watch:
    """Asked as often as one likes, looks at the log at most once a second, and reads it only where it grew.

    Where the store is out of reach it pauses the training, and after `patience_s` refuses: nobody could stop it.
    """

    def __init__(
        self,
        store: Store,
        campaign: str,
        run: str,
        patience_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.store, self.campaign, self.run = store, campaign, run
        self.patience_s, self.clock, self.pause = patience_s, clock, pause
        self.seen = -1
        self.found: list[Pull] = []
        self.next_look = clock()

    def __call__(self) -> list[Pull]:
        """Return the pulls that stop this run; raise Refused where nobody can say for longer than `patience_s`."""
        if self.clock() < self.next_look:
            return self.found
        began = self.clock()
        while True:
            try:
                self._look()
                self.next_look = self.clock() + LOOK_EVERY_S
                return self.found
            except (OSError, Refused) as error:
                if self.clock() - began >= self.patience_s:
                    raise Refused(
                        f"The store {self.store.uri} is out of reach for {self.patience_s:.0f} s, and so is the cord: "
                        f"the training of {self.run} ends rather than go on unwatched. It goes on from its last "
                        f"checkpoint when the same command is run again. ({error})"
                    ) from error
                self.pause(PAUSE_S)

    def _look(self) -> None:
        replay(self.store)
        entries = len(self.store.keys(PREFIX))
        if entries != self.seen:
            self.found = open_pulls(self.store, self.campaign, self.run)
            self.seen = entries
