"""Who may label, pull the cord and release it: people with a personal token each, as an append-only log of the store.

A token is shown once, when it is made; the store keeps its hash. A person who is taken off the list stays in the log.
"""

import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, NamedTuple, cast

from pydantic import Field
from typing_extensions import TypedDict

from data.canonical import Document, sha256
from data.errors import Refused
from data.escape import valid_utf8
from data.paths import LABELER_LOG
from data.shapes import Time
from data.store import Store, log

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
ROLES = ("label", "pull", "release")


class Account(NamedTuple):
    """One person of the list; `expires` is a time in UTC."""

    name: str
    may: tuple[str, ...]
    token_sha256: str
    expires: str


class AddEntry(TypedDict):
    """A person who was put on the list."""

    kind: Literal["add"]
    name: str
    may: list[str]
    token_sha256: str
    expires: Time


class RevokeEntry(TypedDict):
    """A person who was taken off the list."""

    kind: Literal["revoke"]
    name: str


LabelerEntry = AddEntry | RevokeEntry
LABELERS = log.Log[LabelerEntry](cast(type[LabelerEntry], Annotated[LabelerEntry, Field(discriminator="kind")]))


def add(store: Store, name: str, may: Iterable[str] = ("label", "pull"), days: int = 180) -> str:
    """Put a person on the list and return their token, which nothing keeps; raise Refused for a name that is taken."""
    allowed = tuple(role for role in ROLES if role in set(may))
    if unknown := sorted(set(may) - set(ROLES)):
        raise Refused(f"There is no role {unknown[0][:40]!r}: a labeler may {', '.join(ROLES)}.")
    if not allowed:
        raise Refused(f"{name[:40]!r} would have no rights: give one or more of {', '.join(ROLES)}.")
    if not NAME.fullmatch(name):
        raise Refused(f"{name[:60]!r} is no name for a labeler: up to 40 of a-z, 0-9, dot, dash and underscore.")
    token = secrets.token_urlsafe(32)
    expires = (datetime.now(UTC) + timedelta(days=days)).isoformat(timespec="seconds")
    entry = {"kind": "add", "name": name, "may": allowed, "token_sha256": sha256(token.encode()), "expires": expires}

    def decide(so_far: list[LabelerEntry]) -> Document:
        if name in _active(so_far):
            raise Refused(f"{name} is a labeler already: andon labelers revoke {name} first, for a new token.")
        return entry

    LABELERS.append(store, LABELER_LOG, decide)
    return token


def revoke(store: Store, name: str) -> None:
    """Take a person off the list: their token and their sessions end. Their answers stay."""

    def decide(so_far: list[LabelerEntry]) -> Document:
        if name not in _active(so_far):
            raise Refused(f"There is no labeler {name[:60]!r} in {store.uri}: andon labelers list names them.")
        return {"kind": "revoke", "name": name}

    LABELERS.append(store, LABELER_LOG, decide)


def accounts(store: Store) -> dict[str, Account]:
    """Return everybody on the list whose token has not expired, by name."""
    return active_accounts(LABELERS.entries(store, LABELER_LOG))


def active_accounts(entries: list[LabelerEntry]) -> dict[str, Account]:
    """Return the same from the entries of the list."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {name: each for name, each in _active(entries).items() if each.expires > now}


def listed_ever(store: Store) -> set[str]:
    """Return the names of all people who are or were on the list."""
    return {str(entry["name"]) for entry in LABELERS.entries(store, LABELER_LOG)}


def account_of(listed: Mapping[str, Account], token: str) -> Account | None:
    """Return whose token it is; how long that takes says nothing about the tokens."""
    digest = sha256(valid_utf8(token).encode())
    matching = [each for each in listed.values() if hmac.compare_digest(each.token_sha256, digest)]
    return matching[0] if matching else None


def _active(entries: list[LabelerEntry]) -> dict[str, Account]:
    active: dict[str, Account] = {}
    for entry in entries:
        if entry["kind"] == "add":
            active[entry["name"]] = Account(entry["name"], tuple(entry["may"]), entry["token_sha256"], entry["expires"])
        else:
            active.pop(entry["name"], None)
    return active
