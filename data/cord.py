"""The Andon cord: anyone pulls it, a person releases it with a reason, and until then the line is stopped.

A log and no flag: a release names the pull that it releases, so a second pull at the same moment stays pulled. A pull
that cannot be written is kept on this machine and handed in by the next command that reaches the store.
"""

import getpass
import hashlib
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from data import log
from data.canonical import Document, seal, unseal
from data.refused import Refused
from data.store import LocalStore, Store

PREFIX = "cord/log"
EVERYTHING = "everything"


class Pull(NamedTuple):
    """One pull of the cord; `spooled` where it waits on this machine for the store to come back."""

    pull: str
    scope: str  # EVERYTHING, campaign:NAME or run:RUN
    reason: str
    by: str
    at: str
    evidence: Document
    spooled: bool = False

    def __str__(self) -> str:
        return f"{self.pull} ({self.scope}, {self.by}, {self.at}): {self.reason}"


class Release(NamedTuple):
    """Who let the line go on after a pull, and why."""

    pull: str
    by: str
    reason: str
    at: str


class Stopped(Refused):
    """The line is stopped: nothing that trains, exports or promotes may begin or go on. The CLI exits with 3."""

    def __init__(self, found: list[Pull]) -> None:
        self.pulls = found
        named = "; ".join(str(pull) for pull in found)
        super().__init__(
            f"The line is stopped by {named}. When it may go on: andon release {found[0].pull} --reason ..., "
            "then run the same command again."
        )


def this_person() -> str:
    """Return who pulls or releases where nobody said so: the user of this machine's account."""
    return getpass.getuser()


def pull(
    store: Store, reason: str, *, by: str, scope: str = EVERYTHING, evidence: Document | None = None, name: str = ""
) -> Pull:
    """Pull the cord and return the pull once it is durable, in the store or, out of its reach, on this machine.

    The same `name` twice is one pull; without one, every call is a pull of its own.
    """
    if not reason.strip():
        raise Refused("A pull needs a reason: those who come to look must know what was seen.")
    if scope != EVERYTHING and scope.partition(":")[0] not in ("campaign", "run"):
        raise Refused(f"The scope {scope} is none of: {EVERYTHING}, campaign:NAME, run:RUN.")
    made = Pull(name or f"pull-{secrets.token_hex(5)}", scope, reason.strip(), by, _now(), evidence or {})
    try:
        return _append(store, made)
    except (OSError, Refused):
        _spool(store).put_new(f"pulls/{made.pull}.json", seal(made._asdict()))
        return made._replace(spooled=True)


def replay(store: Store) -> list[Pull]:
    """Hand in the pulls that wait on this machine for a store, each once, and return them."""
    spool, handed_in = _spool(store), []
    for key in spool.keys("pulls"):
        waiting = Pull(**unseal(spool.read(key), f"{key} in {spool.uri}"))
        handed_in.append(_append(store, waiting))
        spool.drop(key)
    return handed_in


def release(store: Store, name: str, *, by: str, reason: str) -> Release:
    """Release one pull; raise Refused where there is none of this name, or it is released already."""
    if not reason.strip():
        raise Refused("A release needs a reason: it is what later readers learn from.")

    def decide(so_far: list[Document]) -> Document:
        if not any(entry["kind"] == "pull" and entry["pull"] == name for entry in so_far):
            raise Refused(f"There is no pull {name} in {store.uri}; andon cord lists them.")
        for entry in so_far:
            if entry["kind"] == "release" and entry["pull"] == name:
                raise Refused(f"{name} was released by {entry['by']} at {entry['at']}: {entry['reason']}.")
        return {"kind": "release", "pull": name, "by": by, "reason": reason.strip()}

    entry = log.append(store, PREFIX, decide)
    assert entry is not None
    return Release(name, by, entry["reason"], entry["at"])


def history(store: Store) -> list[tuple[Pull, Release | None]]:
    """Return every pull, oldest first, with its release where there is one; those that wait on this machine too."""
    entries = log.entries(store, PREFIX)
    released = {e["pull"]: Release(e["pull"], e["by"], e["reason"], e["at"]) for e in entries if e["kind"] == "release"}
    pulls = [_pull_of(entry) for entry in entries if entry["kind"] == "pull"]
    return [(found, released.get(found.pull)) for found in pulls]


def open_pulls(store: Store, campaign: str | None = None, run: str | None = None) -> list[Pull]:
    """Return the pulls that stop a campaign or a run of it; all that are not released, where neither is given."""
    unreleased = [found for found, released in history(store) if released is None]
    if campaign is None and run is None:
        return unreleased
    scopes = {EVERYTHING, f"campaign:{campaign}", f"run:{run}"}
    return [found for found in unreleased if found.scope in scopes]


def check(store: Store, campaign: str | None = None, run: str | None = None) -> None:
    """Raise Stopped where a pull stops this campaign or run; pulls that wait on this machine are handed in first."""
    replay(store)
    if found := open_pulls(store, campaign, run):
        raise Stopped(found)


def _append(store: Store, made: Pull) -> Pull:
    def decide(so_far: list[Document]) -> Document | None:
        if any(entry["kind"] == "pull" and entry["pull"] == made.pull for entry in so_far):
            return None  # a replay after a crash, or the same name again
        known = made._asdict() | {"kind": "pull", "pulled_at": made.at}
        del known["spooled"], known["at"]  # the log says itself when it was appended
        return known

    log.append(store, PREFIX, decide)
    return made


def _pull_of(entry: Document) -> Pull:
    return Pull(entry["pull"], entry["scope"], entry["reason"], entry["by"], entry["pulled_at"], entry["evidence"])


def _spool(store: Store) -> LocalStore:
    """Return a folder of this account for the pulls that a store has yet to receive."""
    state = os.environ.get("ANDON_STATE") or os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return LocalStore(Path(state) / "andon" / "cord" / hashlib.sha256(store.uri.encode()).hexdigest()[:16])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
