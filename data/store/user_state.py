"""This user on this machine: the name, and the folder for what the store cannot take right now."""

import getpass
import os
import tempfile
from pathlib import Path

from data.canonical import content_id
from data.errors import Refused
from data.store.base import Store
from data.store.local import LocalStore


def username() -> str:
    """Return the name that this person is logged in by."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in containers
        return "unknown"


def local_state() -> LocalStore:
    """Open the folder of spooled pulls and saved states."""
    return LocalStore(state_folder())


def state_folder() -> Path:
    """Return ANDON_STATE, or where programs of this user keep their state."""
    if stated := os.environ.get("ANDON_STATE"):
        return Path(stated)
    try:
        kept = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    except RuntimeError:  # neither a home nor a name: a folder of this user id's own, where anybody may make folders
        kept = Path(tempfile.gettempdir()) / f"state-of-{os.getuid()}"
        kept.mkdir(mode=0o700, exist_ok=True)
        if kept.stat().st_uid != os.getuid():
            raise Refused(f"{kept} is somebody else's, and this user has no home: set ANDON_STATE.") from None
    return kept / "andon"


def spool_name(store: Store) -> str:
    """Return the name under which things wait for this store, by whatever link or relative path it was opened."""
    return content_id(store.uri if "://" in store.uri else os.path.realpath(store.uri))
