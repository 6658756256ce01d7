"""The cord and the wall as the page shows them: what stops the line, and what the run in progress writes."""

import threading
import time
from typing import Any

from data.canonical import Document
from data.cord import cord
from data.errors import Refused
from data.escape import visible
from data.page.live import Live, latest_live
from data.paths import CORD_LOG
from data.store import Store, log

FRESH = 1.0  # seconds for which what was read is shown again: fifty pages ask, one listing answers


class Line:
    """Reads the cord and the wall for many pages at once, and pulls and releases for one labeler."""

    def __init__(self, store: Store, campaign: str) -> None:
        self.store, self.campaign = store, campaign
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._state: Document = {}

    def state(self) -> Document:
        """Return the open pulls, and what the run in progress wrote last."""
        with self._lock:
            if time.monotonic() - self._read_at > FRESH:
                live = latest_live(self.store, self.campaign)
                self._state = {"pulls": self._open(), "live": live and _shown(live)}
                self._read_at = time.monotonic()
            return self._state

    def pull(self, labeler: str, scope: str, reason: str) -> Document:
        """Pull the cord, and return the receipt; pulling twice for one reason is one pull.

        Raises Refused only without a reason, or where nothing could be written.
        """
        scope = {"campaign": f"campaign:{self.campaign}"}.get(scope, scope)
        try:
            mine = [p for p in cord.open_pulls(self.store) if (p.by, p.scope) == (labeler, scope)]
        except (OSError, Refused):
            mine = []  # the store is out of reach: the pull goes into the spool
        same = [p for p in mine if p.reason == reason.strip()[: cord.LONGEST]]
        made = same[0] if same else cord.pull(self.store, reason, by=labeler, scope=scope)
        self._read_at = float("-inf")
        return {"pull": made.pull, "scope": made.scope, "at": made.at} | self._number(made)

    def release(self, labeler: str, pull: str, reason: str) -> None:
        cord.release(self.store, pull, by=labeler, reason=reason)
        self._read_at = float("-inf")

    def _number(self, made: cord.Pull) -> Document:
        """Return the number of a pull in the cord's log, or that it waits on this machine."""
        if made.spooled:
            return {"number": None}
        entries = log.entries(self.store, CORD_LOG)
        return {"number": next(e["number"] for e in entries if e.get("pull") == made.pull)}

    def _open(self) -> list[Document]:
        return [
            {"pull": p.pull, "scope": p.scope, "by": visible(p.by), "at": p.at, "reason": visible(p.reason)}
            for p in cord.open_pulls(self.store)
        ]


def _shown(live: Live) -> dict[str, Any]:
    samples = [
        {"query": visible(s.query), "zero_shot": visible(s.zero_shot), "response": visible(s.response)}
        | {"score": s.score}
        for s in live.samples
    ]
    return {"run": live.run, "update": live.update, "at": live.at, "samples": samples, "metrics": live.metrics}
