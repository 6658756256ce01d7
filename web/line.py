"""The cord and the wall as the page shows them: what stops the line, and what the run in progress writes.

Nothing here waits long for the store. What was read last is shown; a pull is kept on this machine, and the courier
hands it on.
"""

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from data.canonical import Document
from data.cord import cord, spool
from data.cord.courier import Courier
from data.cord.entries import CORD, EVERYTHING, LONGEST, Pull, history, named
from data.errors import Refused
from data.escape import shortened, visible
from data.page.live import Live, latest_live
from data.paths import CORD_LOG
from data.store import Store, hurried
from data.store.log import Reader
from web.cached import Cached

FRESH_S = 1.0  # for which what was read is shown again: fifty pages ask, one listing answers
MOST_SHOWN, MOST_CHARACTERS = 20, 500  # pulls, and characters of a reason, in one answer
MOST_OPEN = 5  # pulls of one person that stop the same; the line is stopped, and a further one would add nothing
MOST_OF_ONE = 20  # open pulls of one person in all, before only `everything` is left to pull


class Seen(NamedTuple):
    """What one look at the store found."""

    pulls: list[Pull]  # open ones
    live: Live | None
    ours: frozenset[str]  # pulls of this process that the store had before the look


NOTHING = Seen([], None, frozenset())


class Line:
    """Reads the cord and the wall for many pages at once, and pulls and releases for one labeler."""

    def __init__(self, store: Store, campaign: str) -> None:
        self.store, self.campaign = hurried(store), campaign
        self._log, self._courier = Reader(CORD, self.store, CORD_LOG), Courier(self.store)
        self._lock = threading.Lock()
        self._ours: dict[str, Pull] = {}  # made here, and not yet seen in the store
        self._seen = Cached(self._look, FRESH_S)
        self._courier.take(spool.waiting(store))  # from an earlier life of this server
        self._seen.last()  # begin to read

    def state(self) -> Document:
        """Return the newest open pulls, how many more there are, and what the run in progress wrote last."""
        seen = self._seen.get()
        still = self._open(seen)
        shown = [
            {"pull": p.pull, "scope": p.scope, "by": visible(p.by), "at": p.at}
            | {"reason": shortened(visible(p.reason), MOST_CHARACTERS)}
            for p in still[-MOST_SHOWN:]
        ]
        return {"pulls": shown, "more": len(still) - len(shown), "live": seen.live and _shown(seen.live)}

    def pull(self, labeler: str, scope: str, reason: str) -> Document:
        """Pull the cord, and return the receipt; pulling twice for one reason is one pull.

        The pull is durable when this returns, and a store that hangs does not delay that. Raises Refused without a
        reason, if nothing could be written, or if open pulls of the labeler already stop the same and are many.
        """
        scope = {"campaign": f"campaign:{self.campaign}"}.get(scope, scope)
        mine = [each for each in self._open(self._seen.last() or NOTHING) if each.by == labeler]
        same = [each for each in mine if (each.scope, each.reason) == (scope, reason.strip()[:LONGEST])]
        if not same:
            _refuse_too_many(mine, scope)
        made = same[0] if same else cord.pull(self.store, reason, by=labeler, scope=scope, courier=self._courier)
        if not same:
            with self._lock:
                self._ours[made.pull] = made
            self._seen.expire()
        return {"pull": made.pull, "scope": made.scope, "at": made.at, "number": made.number}

    def release(self, labeler: str, pull: str, reason: str) -> None:
        cord.release(self.store, pull, by=labeler, reason=reason)
        with self._lock:
            self._ours.pop(pull, None)
        self.expire()

    def expire(self) -> None:
        """Look again for the next request."""
        self._seen.expire()

    def handed_on(self, timeout_s: float) -> bool:
        """Wait until the store has all pulls of this machine, and return whether it has."""
        return self._courier.wait(timeout_s)

    def _look(self) -> Seen:
        waiting = {made.pull for made in cord.replay(self.store)}
        with self._lock:
            ours = frozenset(self._ours.keys() - waiting)
        still = [each.pull for each in history(self._log.entries()) if each.release is None]
        try:
            live = latest_live(self.store, self.campaign)
        except Refused:  # a damaged sample must not hide the cord
            live = None
        return Seen(still, live, ours)

    def _open(self, seen: Seen) -> list[Pull]:
        """Return the open pulls: those that were seen, those of this process since, and what waits in the spool."""
        with self._lock:
            for name in seen.ours:
                self._ours.pop(name, None)
            ours = dict(self._ours)
        waiting = {made.pull: made for made in spool.waiting(self.store)}
        return list((ours | waiting | {made.pull: made for made in seen.pulls}).values())


def _refuse_too_many(mine: Sequence[Pull], scope: str) -> None:
    """Raise Refused if a person's open pulls stop a scope already, and are many; what they stop stays stopped."""
    same = [made for made in mine if made.scope in (scope, EVERYTHING)]
    if len(same) < MOST_OPEN and (len(mine) < MOST_OF_ONE or scope == EVERYTHING):
        return
    stops = f"{scope} is stopped already" if same else "you can still stop everything"
    raise Refused(
        f"Not recorded: you have {len(mine):,} open pulls, and {stops}. Tell your reason to whoever releases them. "
        f"They are {named(mine)}. To release them together: andon release --pulled-by {mine[0].by} --reason ..."
    )


def _shown(live: Live) -> dict[str, Any]:
    samples = [
        {"query": visible(s.query), "zero_shot": visible(s.zero_shot), "response": visible(s.response)}
        | {"score": s.score}
        for s in live.samples
    ]
    return {"run": live.run, "update": live.update, "at": live.at, "samples": samples, "metrics": live.metrics}
