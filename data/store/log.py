"""Numbered, append-only logs: deliveries, decisions about labels, promotions, the cord, leases.

State is what comes out of reading a log from the start. Of two writers of one number exactly one succeeds, so a
decision that was taken on the entries read so far can only be appended while they are still all there is.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar, cast

from typing_extensions import TypedDict

from data.canonical import Document, plain, seal, unseal
from data.errors import Refused, Unavailable
from data.shapes import Time, checked_shape
from data.store.base import Store, named, read_all

ENTRY = re.compile(r"[0-9]{10}\.json")
Entry = TypeVar("Entry")


def entries(store: Store, prefix: str) -> list[Document]:
    """Read a log from the start; raise Refused at a hole or a damaged entry."""
    keys = numbered(store, prefix)
    return [unseal(data, f"{key} in {store.uri}") for key, data in zip(keys, read_all(store, keys), strict=True)]


class Numbered(TypedDict):
    """What `append` adds to every entry."""

    number: int
    at: Time


@dataclass(frozen=True)
class Log(Generic[Entry]):
    """A log whose entries are typed dictionaries; `today` makes today's shape of an older entry.

    Reading raises Refused at a hole, at a damaged entry, and at an entry that no version of Andon writes.
    """

    shape: type[Entry]
    today: Callable[[Document], Any] = lambda stored: stored

    def entries(self, store: Store, prefix: str) -> list[Entry]:
        """Read the log from the start."""
        return self.typed(store, prefix, entries(store, prefix))

    def append(self, store: Store, prefix: str, decide: Callable[[list[Entry]], Any]) -> Entry | None:
        """Append the entry that `decide` makes of the entries so far; if `decide` returns None, append nothing."""
        entry = append(store, prefix, lambda so_far: decide(self.typed(store, prefix, so_far)))
        return cast(Entry | None, entry)

    def typed(self, store: Store, prefix: str, stored: Sequence[Document], after: int = 0) -> list[Entry]:
        """Return stored entries, of which the first has the number `after` + 1, in today's shape."""
        typed = []
        for number, entry in enumerate(stored, after + 1):
            where = f"{_key(prefix, number)} in {store.uri}"
            typed.append(checked_shape(entry, self.shape, where, self.today))
            checked_shape(entry, Numbered, where)
        return typed


class Reader(Generic[Entry]):
    """Reads a log again and again, and each of its entries once."""

    def __init__(self, log: Log[Entry], store: Store, prefix: str) -> None:
        self.log, self.store, self.prefix = log, store, prefix
        self._entries: list[Entry] = []

    def entries(self) -> list[Entry]:
        """Return all entries; raise Unavailable if some that were there are gone, as after an unmount."""
        keys = numbered(self.store, self.prefix)
        if len(keys) < len(self._entries):
            gone = len(self._entries) - len(keys)
            raise Unavailable(f"{gone} entries of the log {self.prefix} in {self.store.uri} are gone. Is it mounted?")
        new = keys[len(self._entries) :]
        read = zip(new, read_all(self.store, new), strict=True)
        stored = [unseal(data, f"{key} in {self.store.uri}") for key, data in read]
        self._entries = self._entries + self.log.typed(self.store, self.prefix, stored, len(self._entries))
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
