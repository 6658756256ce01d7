"""The list of labelers as the server sees it: read again every two seconds, so that a revoked token ends at once."""

from collections.abc import Mapping

from data.page.accounts import LABELERS, Account, active_accounts
from data.paths import LABELER_LOG
from data.store import Store, hurried
from data.store.log import Reader
from web.cached import Cached

FRESH_S = 2.0


class Roster:
    """Who may do what. If the store does not answer, it is who could a moment ago."""

    def __init__(self, store: Store) -> None:
        log = Reader(LABELERS, hurried(store), LABELER_LOG)
        self._accounts = Cached(lambda: active_accounts(log.entries()), FRESH_S)

    def listed(self) -> Mapping[str, Account]:
        return self._accounts.get()

    def expire(self) -> None:
        """Read the list again for the next request."""
        self._accounts.expire()
