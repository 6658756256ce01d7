"""Leases: the right to train a campaign, by epoch. One retrain of a campaign runs at a time.

One log says who holds the lease. The number of the entry that took it is its epoch. A holder shows that it lives by
beats, small keys named by their time. If a holder has been silent for too long, or its process is gone from this
machine, the next retrain takes the lease over. Time decides only when a takeover may begin. If a commit and a takeover
race, the log orders them, so at most one succeeds: a commit is an entry that names its epoch. After a takeover no step
is committed under an older epoch, however late a process wakes.
"""

import os
import re
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple, NotRequired

from typing_extensions import TypedDict

from data.canonical import Document, seal
from data.errors import LeaseHeld, LeaseLost, Refused
from data.escape import shown
from data.paths import BEAT_FILE, LEASE_LOG, beats_prefix
from data.shapes import Time
from data.store import Store, log
from data.store.base import named
from data.store.user_state import known_for_s

BEAT = "%Y%m%dT%H%M%S%f"
OLD_HOLDER = re.compile(r"(?P<by>.*)@(?P<host>[^@]*) \(process (?P<pid>\d+), (?P<run>[^)]+)\)")


class Process(TypedDict):
    """A process, with its start in ticks since boot, because a pid may be used again."""

    host: str
    pid: int
    started: str | None


class LeaseEntry(TypedDict):
    """One entry of the log. Each kind has its own fields in addition to the first four."""

    kind: Literal["take", "give back", "commit"]
    campaign: str
    number: int
    at: Time
    by: NotRequired[str]  # take: the user
    run: NotRequired[str | None]  # take: the run that is trained
    process: NotRequired[Process]  # take
    holder: NotRequired[str]  # take, instead of `by` and `run`: one text, written before those fields existed
    epoch: NotRequired[int]  # give back, commit: the number of the take
    key: NotRequired[str]  # commit: the manifest that is written next


LEASES = log.Log(LeaseEntry)


class Lease(NamedTuple):
    """The right to train a campaign, until it is released or taken over."""

    campaign: str
    epoch: int
    holder: str


class Holder(NamedTuple):
    """The holder of a lease, since when it holds it, and whether it is alive."""

    by: str
    run: str | None
    host: str
    pid: int
    since: str
    alive: bool

    @property
    def text(self) -> str:
        """Name the holder for people."""
        return f"{self.by}@{self.host} (process {self.pid}" + (f", {self.run})" if self.run else ")")

    def document(self) -> Document:
        """Return the fields and the text, as `andon status --json` shows them."""
        return self._asdict() | {"holder": self.text}


def ttl_s() -> float:
    """Return the seconds without a beat after which a lease expires. Holders beat five times in this time."""
    value = os.environ.get("ANDON_LEASE_S", "300")
    try:
        return float(value)
    except ValueError as error:
        raise Refused(f"ANDON_LEASE_S is {shown(value, 40)}, expected a number of seconds. Correct it.") from error


def acquire(store: Store, campaign: str, by: str, run: str | None = None) -> Lease:
    """Acquire the lease of a campaign to train `run`, also from a dead holder; raise LeaseHeld if it is held."""

    def decide(entries: list[LeaseEntry]) -> Document:
        current = _last(entries, campaign)
        if current is not None and _alive(store, current):
            raise LeaseHeld(
                f"Campaign {campaign} is trained by {_holder(store, current).text} since {current['at']}. Wait until "
                f"that training has ended. A holder that is silent for {ttl_s():.0f} seconds loses the lease."
            )
        process: Process = {"host": socket.gethostname(), "pid": os.getpid(), "started": _started(os.getpid())}
        return {"kind": "take", "campaign": campaign, "by": by, "run": run, "process": process}

    entry = LEASES.append(store, LEASE_LOG, decide)
    assert entry is not None
    return Lease(campaign, entry["number"], _holder(store, entry).text)


def renew(store: Store, lease: Lease) -> None:
    """Write a beat, which shows that the holder is alive; raise LeaseLost after a takeover."""
    check(store, lease)
    store.put_new(f"{beats_prefix(lease.campaign, lease.epoch)}/{datetime.now(UTC):{BEAT}}.json", seal({}))


def release(store: Store, lease: Lease) -> None:
    """Release a lease. Do nothing if it was taken over."""

    def decide(entries: list[LeaseEntry]) -> Document | None:
        current = _last(entries, lease.campaign)
        mine = current is not None and current["number"] == lease.epoch
        return {"kind": "give back", "campaign": lease.campaign, "epoch": lease.epoch} if mine else None

    LEASES.append(store, LEASE_LOG, decide)


def check(store: Store, lease: Lease) -> None:
    """Raise LeaseLost if the lease was taken over."""
    _refuse_others(store, LEASES.entries(store, LEASE_LOG), lease)


def commit(store: Store, lease: Lease, key: str) -> None:
    """Append to the log that this epoch commits `key`, before `key` is written; raise LeaseLost after a takeover."""

    def decide(entries: list[LeaseEntry]) -> Document | None:
        _refuse_others(store, entries, lease)
        entry = {"kind": "commit", "campaign": lease.campaign, "epoch": lease.epoch, "key": key}
        return None if any(entry.items() <= earlier.items() for earlier in entries) else entry

    LEASES.append(store, LEASE_LOG, decide)


def _refuse_others(store: Store, entries: list[LeaseEntry], lease: Lease) -> None:
    takes = [entry for entry in entries if entry["kind"] == "take" and entry["campaign"] == lease.campaign]
    last = takes[-1]
    if last["number"] != lease.epoch:
        raise LeaseLost(
            f"Campaign {lease.campaign} is trained by {_holder(store, last).text} since {last['at']}, which took over "
            f"from {lease.holder}. This process can write nothing more."
        )


def holder(store: Store, campaign: str) -> Holder | None:
    """Return the holder of the lease of a campaign; None if it is free."""
    current = _last(LEASES.entries(store, LEASE_LOG), campaign)
    return current and _holder(store, current)


def _holder(store: Store, entry: LeaseEntry) -> Holder:
    """Return the holder of a lease from its entry. Older entries have user and run in one text."""
    process, alive = entry["process"], _alive(store, entry)
    by, run = entry.get("by", entry.get("holder", "")), entry.get("run")
    if "by" not in entry and (parts := OLD_HOLDER.fullmatch(by)):
        by, run = parts["by"], parts["run"]
    return Holder(by, run, process["host"], process["pid"], entry["at"], alive)


def fenced(store: Store, lease: Lease) -> Store:
    """Return a store for the holder that refuses to commit and to remove after a takeover."""
    return _Fenced(store, lease)


class _Fenced:
    """A store that enters each step into the log before its manifest; for a checkpoint it only checks the epoch."""

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


def _last(entries: list[LeaseEntry], campaign: str) -> LeaseEntry | None:
    """Return the take in force for a campaign; None if it was released."""
    mine = [entry for entry in entries if entry["campaign"] == campaign and entry["kind"] != "commit"]
    return mine[-1] if mine and mine[-1]["kind"] == "take" else None


def _alive(store: Store, entry: LeaseEntry) -> bool:
    process = entry["process"]
    if process["host"] == socket.gethostname() and _started(process["pid"]) != process["started"]:
        return False  # the process of this machine has ended, whatever its last beat is
    beats = named(store, beats_prefix(entry["campaign"], entry["number"]), BEAT_FILE)
    last = beats[-1].rsplit("/", 1)[1].removesuffix(".json") if beats else None
    seen = datetime.strptime(last, BEAT).replace(tzinfo=UTC) if last else datetime.fromisoformat(entry["at"])
    silent_s = (datetime.now(UTC) - seen).total_seconds()
    if silent_s < 0:  # one of the two clocks is wrong: what counts is for how long this machine has seen no newer beat
        silent_s = known_for_s(store, f"{entry['campaign']}/{entry['number']}", last or "take")
    return silent_s < ttl_s()


def _started(pid: int) -> str | None:
    """Return the start of a process of this machine in ticks since boot; None if it does not run."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        return None
