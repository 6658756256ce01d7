"""The list of labelers as the server sees it: read again every two seconds, so that a revoked token ends at once."""

import threading
import time
from collections.abc import Mapping

from data.errors import Unavailable
from data.page.accounts import Account, accounts
from data.store import Store

FRESH = 2.0  # seconds


class Roster:
    def __init__(self, store: Store) -> None:
        self._store, self._lock = store, threading.Lock()
        self._read_at = float("-inf")
        self._listed: Mapping[str, Account] = {}

    def listed(self) -> Mapping[str, Account]:
        """Return who may do what; where the store does not answer, who could a moment ago."""
        with self._lock:
            if time.monotonic() - self._read_at > FRESH:
                try:
                    self._listed = accounts(self._store)
                except (OSError, Unavailable):
                    if not self._listed:
                        raise
                self._read_at = time.monotonic()
            return self._listed
