"""The spool: pulls on this machine that the store does not have yet.

A pull is written here before anything else is tried, and is removed when the store has it. So neither a crash in the
middle nor a store that is out of reach loses one.
"""

import re
from contextlib import suppress
from typing import cast

from data.canonical import seal
from data.cord.entries import CORD, CordEntry, Pull, PullEntry, entry_of, pull_of
from data.errors import Refused
from data.paths import CORD_LOG
from data.shapes import unsealed
from data.store import LocalStore, Store
from data.store.base import named
from data.store.user_state import local_state, spool_name

FILE = re.compile(r"pull-[0-9a-f]{12}\.json")


def keep(store: Store, made: Pull) -> bool:
    """Make a pull durable on this machine; return whether that worked."""
    try:
        local_state().put_new(spool_key(store, made), seal({**entry_of(made), "store": store.uri}))
        return True
    except (OSError, Refused):
        return False  # a machine without a folder of its own may still reach the store


def waiting(store: Store) -> list[Pull]:
    """Return the pulls that wait for a store on this machine."""
    spool, pulls = local_state(), []
    for key in named(spool, _prefix(store), FILE):
        with suppress(FileNotFoundError):  # another process has just handed it on
            where = f"the spooled pull {key} in {spool.uri}"
            pulls.append(pull_of(unsealed(spool.read(key), PullEntry, where)))
    return pulls


def hand_on(store: Store, made: Pull) -> int:
    """Append a pull to the store's log, unless the log has it, and remove it from the spool; return its number."""
    if isinstance(store, LocalStore) and not store.root.is_dir():  # not mounted, or mistyped: do not create a store
        raise FileNotFoundError(f"there is no folder {store.root}")
    numbers: list[int] = []

    def decide(so_far: list[CordEntry]) -> PullEntry | None:
        pulls = [pull_of(entry) for entry in so_far if entry["kind"] == "pull"]
        numbers[:] = [each.number for each in pulls if each.pull == made.pull and each.number is not None]
        return None if numbers else entry_of(made)

    entry = CORD.append(store, CORD_LOG, decide)
    with suppress(Refused):  # if this fails, the next look at the cord removes it
        local_state().drop(spool_key(store, made))
    return numbers[0] if entry is None else cast(int, entry.get("number"))


def spool_key(store: Store, made: Pull) -> str:
    return f"{_prefix(store)}/{made.pull}.json"


def _prefix(store: Store) -> str:
    return f"spool/{spool_name(store)}"
