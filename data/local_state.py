"""This user's folder on this machine, for what the store cannot take right now: spooled pulls, saved states."""

import os
from pathlib import Path

from data.canonical import content_id
from data.store import LocalStore, Store


def local_state() -> LocalStore:
    """Open the folder: ANDON_STATE, or where programs of this user keep their state."""
    if stated := os.environ.get("ANDON_STATE"):
        return LocalStore(Path(stated))
    return LocalStore(Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "andon")


def meant_for(store: Store) -> str:
    """Return the name under which things wait for this store, by whatever link or relative path it was opened."""
    return content_id(store.uri if "://" in store.uri else os.path.realpath(store.uri))
