"""Who may train a campaign, by epoch: one retrain at a time, whatever a scheduler believes.

The holder is read off one log, and the number of the entry that took a lease is its epoch. A holder shows that it
lives by beats, small keys named by their time; one that has been silent for too long, or whose process is gone from
this machine, is taken over from. Time decides only when a takeover may begin. What a zombie may still write is decided
by the log: a commit is an entry that names its epoch, and of a commit and a takeover that meet, one sees the other. So
after a takeover no step is committed under an older epoch, however late a process wakes.
"""

import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from data.canonical import Document, seal
from data.errors import Refused
from data.escape import shown
from data.store import Store, log

LOG = "leases/log"
BEAT = "%Y%m%dT%H%M%S%f"


class Held(Refused):
    """Somebody else trains this campaign; the message says who."""


class Fenced(Refused):
    """The lease went to somebody else: nothing may be written under it any more."""


class Lease(NamedTuple):
    """The right to train a campaign, until it is given back or taken over."""

    campaign: str
    epoch: int
    holder: str


def silence_s() -> float:
    """Return after how many silent seconds a holder counts as dead; a beat comes five times as often."""
    said = os.environ.get("ANDON_LEASE_S", "300")
    try:
        return float(said)
    except ValueError as error:
        raise Refused(f"ANDON_LEASE_S is a number of seconds, not {shown(said, 40)}.") from error


def take(store: Store, campaign: str, holder: str) -> Lease:
    """Take the lease of a campaign, or take it over from a dead holder; raise Held where one lives."""

    def decide(so_far: list[Document]) -> Document:
        current = _last(so_far, campaign)
        if current is not None and _alive(store, current):
            raise Held(
                f"Campaign {campaign} is trained by {current['holder']} since {current['at']}: wait until it has "
                f"ended. A holder that is dead is taken over from after {silence_s():.0f} silent seconds."
            )
        process = {"host": socket.gethostname(), "pid": os.getpid(), "started": _started(os.getpid())}
        return {"kind": "take", "campaign": campaign, "holder": holder, "process": process}

    entry = log.append(store, LOG, decide)
    assert entry is not None
    return Lease(campaign, entry["number"], holder)


def renew(store: Store, lease: Lease) -> None:
    """Show that the holder lives; raise Fenced where the lease is another's by now."""
    check(store, lease)
    store.put_new(f"{_beats(lease.campaign, lease.epoch)}/{datetime.now(UTC):{BEAT}}.json", seal({}))


def give_back(store: Store, lease: Lease) -> None:
    """Let the next one train; where the lease was taken over, do nothing."""

    def decide(so_far: list[Document]) -> Document | None:
        current = _last(so_far, lease.campaign)
        mine = current is not None and current["number"] == lease.epoch
        return {"kind": "give back", "campaign": lease.campaign, "epoch": lease.epoch} if mine else None

    log.append(store, LOG, decide)


def check(store: Store, lease: Lease) -> None:
    """Raise Fenced where the lease is not the last one of its campaign."""
    _refuse_others(log.entries(store, LOG), lease)


def commit(store: Store, lease: Lease, key: str) -> None:
    """Enter into the log that this epoch commits `key`, before it is written; raise Fenced after a takeover."""

    def decide(so_far: list[Document]) -> Document | None:
        _refuse_others(so_far, lease)
        entry = {"kind": "commit", "campaign": lease.campaign, "epoch": lease.epoch, "key": key}
        return None if any(entry.items() <= earlier.items() for earlier in so_far) else entry

    log.append(store, LOG, decide)


def _refuse_others(entries: list[Document], lease: Lease) -> None:
    takes = [entry for entry in entries if entry["kind"] == "take" and entry["campaign"] == lease.campaign]
    if takes[-1]["number"] != lease.epoch:
        raise Fenced(
            f"Campaign {lease.campaign} is trained by {takes[-1]['holder']} since {takes[-1]['at']}, which took over "
            f"from {lease.holder}: this process may write nothing more."
        )


def holder(store: Store, campaign: str) -> Document | None:
    """Return the entry of who holds the lease, and whether it is `alive`; None where nobody does."""
    current = _last(log.entries(store, LOG), campaign)
    return current and current | {"alive": _alive(store, current)}


def fenced(store: Store, lease: Lease) -> Store:
    """Return the store as the holder may use it: nothing is committed or removed under a lease that is another's."""
    return _Fenced(store, lease)


class _Fenced:
    """A store in which a step is committed by epoch; checkpoints, of which a zombie's are copies, only look at it."""

    def __init__(self, store: Store, lease: Lease) -> None:
        self.uri = store.uri
        self._store, self._lease = store, lease
        self.read, self.local_path, self.keys, self.put_file = store.read, store.local_path, store.keys, store.put_file

    def put_new(self, key: str, data: bytes) -> bool:
        if key.endswith("/manifest.json"):
            if "/checkpoints/" in key:
                check(self._store, self._lease)
            else:
                commit(self._store, self._lease, key)
        return self._store.put_new(key, data)

    def drop(self, key: str) -> None:
        check(self._store, self._lease)
        self._store.drop(key)


def _last(entries: list[Document], campaign: str) -> Document | None:
    """Return the take that stands for a campaign; None where it was given back."""
    mine = [entry for entry in entries if entry["campaign"] == campaign and entry["kind"] != "commit"]
    return mine[-1] if mine and mine[-1]["kind"] == "take" else None


def _alive(store: Store, take: Document) -> bool:
    process = take["process"]
    if process["host"] == socket.gethostname() and _started(process["pid"]) != process["started"]:
        return False  # this machine knows better than any clock
    beats = store.keys(_beats(take["campaign"], take["number"]))
    last = beats[-1].rsplit("/", 1)[1].removesuffix(".json") if beats else None
    seen = datetime.strptime(last, BEAT).replace(tzinfo=UTC) if last else datetime.fromisoformat(take["at"])
    return (datetime.now(UTC) - seen).total_seconds() < silence_s()


def _started(pid: int) -> str | None:
    """Return when a process of this machine started, in ticks since boot: a number may be given to another one."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        return None


def _beats(campaign: str, epoch: int) -> str:
    return f"leases/beats/{campaign}/{epoch:010d}"
