"""The entries of the cord's log: pulls and releases.

A release names the pulls that it releases. A flag that is set and cleared would lose the second of two pulls.
"""

import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal, NamedTuple, NotRequired, cast

from pydantic import Field
from typing_extensions import TypedDict

from data.canonical import Document, plain
from data.errors import Refused, Stopped
from data.escape import is_blank, one_line, shortened
from data.shapes import Time
from data.store.log import Log

EVERYTHING = "everything"
SCOPE = re.compile(r"everything|campaign:[a-z][a-z0-9-]{1,40}|run:[A-Za-z0-9][A-Za-z0-9._-]{0,100}")
LONGEST = 2_000  # characters of a reason that are kept
NAMED = 3  # pulls that a message names; of the others it says how many
NAMED_CHARACTERS = 200  # of each reason in a message


class PullEntry(TypedDict):
    """A pull in the log, and in the spool."""

    kind: Literal["pull"]
    pull: str
    scope: str
    reason: str
    by: str
    pulled_at: Time
    evidence: Document  # of a sentinel: Evidence in data/cord/alarms.py
    number: NotRequired[int]  # in the log


class ReleaseEntry(TypedDict):
    """A release in the log; `at` is set by the log."""

    kind: Literal["release"]
    pulls: list[str]
    by: str
    reason: str
    at: Time


CordEntry = PullEntry | ReleaseEntry
CORD = Log[CordEntry](cast(type[CordEntry], Annotated[CordEntry, Field(discriminator="kind")]))


class Pull(NamedTuple):
    """One pull of the cord."""

    pull: str  # its id
    scope: str  # "everything", "campaign:NAME" or "run:RUN"
    reason: str
    by: str
    at: str
    evidence: Document
    number: int | None  # of its entry in the log; None if it is durable on this machine, and not yet in the store

    @property
    def spooled(self) -> bool:
        return self.number is None

    def document(self) -> Document:
        """Return the fields as commands show them with --json."""
        return self._asdict() | {"spooled": self.spooled}

    def stops(self, campaign: str | None, run: str | None) -> bool:
        return self.scope in (EVERYTHING, f"campaign:{campaign}", f"run:{run}")


class Release(NamedTuple):
    by: str
    reason: str
    at: str


class Pulled(NamedTuple):
    """A pull, and its release if there is one."""

    pull: Pull
    release: Release | None


def new_pull(reason: str, by: str, scope: str, evidence: Document) -> Pull:
    """Return a pull with an id of its own; raise Refused without a reason, or for a scope that does not exist."""
    if is_blank(reason):
        raise Refused("A pull needs a reason. Say what you saw.")
    if not SCOPE.fullmatch(scope):
        raise Refused(f"There is no scope {one_line(scope)[:120]}. Use everything, campaign:NAME or run:RUN.")
    return Pull(
        f"pull-{secrets.token_hex(6)}",
        scope,
        plain(reason.strip()[:LONGEST]),
        plain(by[:LONGEST]),
        datetime.now(UTC).isoformat(timespec="seconds"),
        plain(evidence),
        number=None,
    )


def entry_of(made: Pull) -> PullEntry:
    """Return a pull as it is stored."""
    return PullEntry(
        kind="pull",
        pulled_at=made.at,
        pull=made.pull,
        scope=made.scope,
        reason=made.reason,
        by=made.by,
        evidence=made.evidence,
    )


def pull_of(entry: PullEntry) -> Pull:
    """Read a stored pull."""
    at, evidence, number = entry["pulled_at"], entry["evidence"], entry.get("number")
    return Pull(entry["pull"], entry["scope"], entry["reason"], entry["by"], at, evidence, number)


def history(entries: Sequence[CordEntry]) -> list[Pulled]:
    """Return the pulls of a log, oldest first, each with its release."""
    releases = {
        name: Release(entry["by"], entry["reason"], entry["at"])
        for entry in entries
        if entry["kind"] == "release"
        for name in entry["pulls"]
    }
    made = [pull_of(entry) for entry in entries if entry["kind"] == "pull"]
    return [Pulled(each, releases.get(each.pull)) for each in made]


def named(pulls: Sequence[Pull]) -> str:
    """Name pulls in a message: the first few, and how many there are besides."""
    texts = [
        f"{each.pull} by {shortened(one_line(each.by), NAMED_CHARACTERS)} ({each.scope}): "
        f"{shortened(one_line(each.reason), NAMED_CHARACTERS)}"
        for each in pulls[:NAMED]
    ]
    return "; ".join(texts) + and_more(len(pulls))


def ids(pulls: Sequence[str]) -> str:
    """Name ids of pulls in a message: the first few, and how many there are besides."""
    return ", ".join(pulls[:NAMED]) + and_more(len(pulls))


def and_more(count: int) -> str:
    return f" and {count - NAMED:,} more" if count > NAMED else ""


def stopped_by(pulls: Sequence[Pull]) -> Stopped:
    """Return the error that ends what these pulls stop; its message names the first few."""
    count = f"{len(pulls):,} pulls: " if len(pulls) > NAMED else ""
    message = f"The line is stopped by {count}{named(pulls) or 'a pull'}."
    return Stopped([each.pull for each in pulls], f"{message} Find the cause, then: andon release PULL --reason ...")
