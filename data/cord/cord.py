"""The Andon cord: a pull stops the line, a release (by a person, with a reason) lets it go on.

Both are entries of one log, and a release names the pull that it releases: a flag that is set and cleared loses the
second of two pulls, a log does not. A pull is written to a local folder first (the spool), then to the store, and is
taken from the spool when the store has it; so neither a crash in the middle nor a store out of reach loses one. What
lies in the spool goes into the log with the next look at the cord from this machine, once, for every pull has an id.
"""

import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Literal, NamedTuple, cast

from pydantic import Field
from typing_extensions import TypedDict

from data.canonical import Document, plain, seal, unseal
from data.cord.webhook import notify
from data.errors import Refused, Stopped
from data.escape import one_line
from data.paths import CORD_LOG
from data.shapes import checked_shape
from data.store import LocalStore, Store, log
from data.store.user_state import local_state, spool_name

EVERYTHING = "everything"
SCOPE = re.compile(r"everything|campaign:[a-z][a-z0-9-]{1,40}|run:[A-Za-z0-9][A-Za-z0-9._-]{0,100}")
LONGEST = 2_000  # characters of a reason that are kept


class PullEntry(TypedDict):
    """A pull in the log, and in the spool."""

    kind: Literal["pull"]
    pull: str
    scope: str
    reason: str
    by: str
    pulled_at: str
    evidence: Document  # of a sentinel: Evidence in data/cord/alarms.py


class ReleaseEntry(TypedDict):
    """A release in the log; `at` is set by the log."""

    kind: Literal["release"]
    pulls: list[str]
    by: str
    reason: str
    at: str


CordEntry = PullEntry | ReleaseEntry
CORD = log.Log[CordEntry](cast(type[CordEntry], Annotated[CordEntry, Field(discriminator="kind")]))


class Pull(NamedTuple):
    """One pull of the cord."""

    pull: str  # its id
    scope: str  # "everything", "campaign:NAME" or "run:RUN"
    reason: str
    by: str
    at: str
    evidence: Document
    spooled: bool  # durable on this machine, and not yet in the store

    def stops(self, campaign: str | None, run: str | None) -> bool:
        return self.scope in (EVERYTHING, f"campaign:{campaign}", f"run:{run}")


class Release(NamedTuple):
    by: str
    reason: str
    at: str


class Pulled(NamedTuple):
    """A pull, and its release where there is one."""

    pull: Pull
    release: Release | None


def stopped_by(pulls: Sequence[Pull]) -> Stopped:
    """Return the error that ends what these pulls stop; its message names them."""
    texts = [f"{each.pull} by {one_line(each.by)} ({each.scope}): {one_line(each.reason)}" for each in pulls]
    message = (
        f"The line is stopped by {'; '.join(texts) or 'a pull'}. Look at it, then: andon release PULL --reason ..."
    )
    return Stopped([each.pull for each in pulls], message)


def pull(store: Store, reason: str, *, by: str, scope: str = EVERYTHING, evidence: Document | None = None) -> Pull:
    """Stop what `scope` names, and return the pull: durable, in the store or, where that is out of reach, spooled.

    Raises Refused only without a reason, for a scope that is none, or where nothing at all can be written.
    """
    if not reason.strip():
        raise Refused("A pull needs a reason: say what you saw.")
    if not SCOPE.fullmatch(scope):
        raise Refused(f"There is no scope {one_line(scope)}: everything, campaign:NAME or run:RUN.")
    made = Pull(
        f"pull-{secrets.token_hex(6)}",
        scope,
        plain(reason.strip()[:LONGEST]),
        plain(by[:LONGEST]),
        datetime.now(UTC).isoformat(timespec="seconds"),
        plain(evidence or {}),
        spooled=False,
    )
    try:
        local_state().put_new(_spool_key(store, made), seal(_entry(made) | {"store": store.uri}))
        spooled = True
    except (OSError, Refused):
        spooled = False  # a machine without a folder of its own still reaches the store
    try:
        _append(store, made)
    except Exception as error:  # whatever keeps the store from taking it must not cost the pull
        if not spooled:
            raise Refused(
                f"The pull is NOT recorded: neither {store.uri} ({error}) nor {local_state().uri} can be written."
            ) from error
        made = made._replace(spooled=True)
    else:
        if spooled:
            with suppress(Refused):  # it is in the log: the next look at the cord takes it from the spool
                local_state().drop(_spool_key(store, made))
    notify("stop", f"{made.pull} by {one_line(made.by)} ({scope}): {one_line(made.reason)}", {"pull": made.pull})
    return made


def release(store: Store, pull_id: str, *, by: str, reason: str) -> None:
    """Release one pull; raise Refused where there is none of that id, or where it is released already."""
    if not reason.strip():
        raise Refused("A release needs a reason: say what was found.")
    replay(store)

    def decide(so_far: list[CordEntry]) -> Document:
        found = {each.pull.pull: each.release for each in _read(so_far)}
        if pull_id not in found:
            still = ", ".join(name for name, released in found.items() if released is None) or "none is"
            raise Refused(f"There is no pull {one_line(pull_id)} in {store.uri}; open: {still}.")
        if (earlier := found[pull_id]) is not None:
            raise Refused(
                f"{pull_id} is released already, by {earlier.by} at {earlier.at}: {one_line(earlier.reason)}."
            )
        return {"kind": "release", "pulls": [pull_id], "by": plain(by), "reason": plain(reason.strip()[:LONGEST])}

    CORD.append(store, CORD_LOG, decide)


def pulls(store: Store) -> list[Pulled]:
    """Return all pulls, oldest first, with who released them; those that wait in this machine's spool count too."""
    waiting = replay(store)
    found = _read(CORD.entries(store, CORD_LOG))
    known = {each.pull.pull for each in found}
    return found + [Pulled(made, None) for made in waiting if made.pull not in known]


def open_pulls(store: Store, campaign: str | None = None, run: str | None = None) -> list[Pull]:
    """Return the unreleased pulls that stop this campaign or run; all of them where neither is named."""
    still = [each.pull for each in pulls(store) if each.release is None]
    return still if campaign is None and run is None else [made for made in still if made.stops(campaign, run)]


def check(store: Store, campaign: str | None = None, run: str | None = None) -> None:
    """Raise Stopped where an unreleased pull stops this campaign or run."""
    if still := open_pulls(store, campaign, run):
        raise stopped_by(still)


def replay(store: Store) -> list[Pull]:
    """Put this machine's spooled pulls into the store's log; return those that the store still does not take."""
    waiting, spool = [], local_state()
    for key in spool.keys(_spool_prefix(store)):
        try:
            made = _pull_of(_spooled(spool, key))
        except FileNotFoundError:
            continue  # another process has just replayed it
        try:
            _append(store, made)
        except Exception:  # as in `pull`: it stays spooled, and counts
            waiting.append(made._replace(spooled=True))
        else:
            with suppress(Refused):
                spool.drop(key)
    return waiting


def _spooled(spool: Store, key: str) -> PullEntry:
    where = f"the spooled pull {key} in {spool.uri}"
    return checked_shape(unseal(spool.read(key), where), PullEntry, where)


def _append(store: Store, made: Pull) -> None:
    """Append a pull to the log, where it is not there yet."""
    if isinstance(store, LocalStore) and not store.root.is_dir():  # not mounted, or mistyped: do not invent a store
        raise FileNotFoundError(f"there is no folder {store.root}")

    def decide(so_far: list[CordEntry]) -> PullEntry | None:
        return None if any(entry.get("pull") == made.pull for entry in so_far) else _entry(made)

    CORD.append(store, CORD_LOG, decide)


def _entry(made: Pull) -> PullEntry:
    return PullEntry(
        kind="pull",
        pulled_at=made.at,
        pull=made.pull,
        scope=made.scope,
        reason=made.reason,
        by=made.by,
        evidence=made.evidence,
    )


def _pull_of(entry: PullEntry) -> Pull:
    return Pull(
        entry["pull"],
        entry["scope"],
        entry["reason"],
        entry["by"],
        entry["pulled_at"],
        entry["evidence"],
        spooled=False,
    )


def _read(entries: list[CordEntry]) -> list[Pulled]:
    released = {
        name: Release(entry["by"], entry["reason"], entry["at"])
        for entry in entries
        if entry["kind"] == "release"
        for name in entry["pulls"]
    }
    made = [_pull_of(entry) for entry in entries if entry["kind"] == "pull"]
    return [Pulled(each, released.get(each.pull)) for each in made]


def _spool_prefix(store: Store) -> str:
    return f"spool/{spool_name(store)}"


def _spool_key(store: Store, made: Pull) -> str:
    return f"{_spool_prefix(store)}/{made.pull}.json"
