"""Numbered, append-only logs: deliveries, decisions about labels, promotions, the cord, leases.

State is what comes out of reading a log from the start. Of two writers of one number exactly one succeeds, so a
decision that was taken on the entries read so far can only be appended while they are still all there is.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime

from data.canonical import Document, plain, seal, unseal
from data.errors import Refused, Unavailable
from data.store.base import Store, named, read_all

ENTRY = re.compile(r"[0-9]{10}\.json")


def entries(store: Store, prefix: str) -> list[Document]:
    """Read a log from the start; raise Refused at a hole or a damaged entry."""
    keys = numbered(store, prefix)
    return [unseal(data, f"{key} in {store.uri}") for key, data in zip(keys, read_all(store, keys), strict=True)]


class Reader:
    """Reads a log again and again, and each of its entries once."""

    def __init__(self, store: Store, prefix: str) -> None:
        self.store, self.prefix = store, prefix
        self._entries: list[Document] = []

    def entries(self) -> list[Document]:
        """Return all entries; raise Unavailable if some that were there are gone, as after an unmount."""
        keys = numbered(self.store, self.prefix)
        if len(keys) < len(self._entries):
            gone = len(self._entries) - len(keys)
            raise Unavailable(f"{gone} entries of the log {self.prefix} in {self.store.uri} are gone. Is it mounted?")
        new = keys[len(self._entries) :]
        read = zip(new, read_all(self.store, new), strict=True)
        self._entries = self._entries + [unseal(data, f"{key} in {self.store.uri}") for key, data in read]
        return self._entries


def numbered(store: Store, prefix: str) -> list[str]:
    """List the entries of a log; raise Refused at a hole."""
    keys = entry_keys(store, prefix)
    for number, key in enumerate(keys, 1):
        if key != _key(prefix, number):
            raise Refused(f"The log {prefix} in {store.uri} has no entry {number}: restore it from a backup.")
    return keys


def entry_keys(store: Store, prefix: str) -> list[str]:
    """List the entries that are there, holes or not. Other files in the folder are not Andon's."""
    return named(store, prefix, ENTRY)


def append(store: Store, prefix: str, decide: Callable[[list[Document]], Document | None]) -> Document | None:
    """Append what `decide` makes of the entries so far; it may return None to append nothing.

    If another writer was faster, `decide` is asked again with that writer's entry among those it sees.
    """
    while True:
        so_far = entries(store, prefix)
        payload = decide(so_far)
        if payload is None:
            if so_far:  # the caller acts on the last entry: whoever loses its name to it returns when it is durable
                store.put_new(_key(prefix, len(so_far)), seal(so_far[-1]))
            return None
        number = len(so_far) + 1
        entry: Document = plain(payload) | {"number": number, "at": datetime.now(UTC).isoformat(timespec="seconds")}
        if store.put_new(_key(prefix, number), seal(entry)):
            return entry


def _key(prefix: str, number: int) -> str:
    return f"{prefix}/{number:010d}.json"
