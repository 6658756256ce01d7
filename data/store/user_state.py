"""This user on this machine: the name, and the folder for what the store cannot take right now."""

import getpass
import os
import tempfile
import time
from pathlib import Path

from data.canonical import content_id, seal, unseal
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


def known_for_s(store: Store, subject: str, event: str) -> float:
    """Return for how many seconds this machine has known the newest event of a subject, 0 at first.

    The time is that of a clock which nobody sets, so it needs no clock of another machine. `subject` and `event` are
    parts of a key. Nothing older than the start of this machine counts.
    """
    state, folder, now_s = local_state(), f"observed/{spool_name(store)}/{subject}", _since_boot_s()
    key = f"{folder}/{event}-{content_id(_boot())}.json"
    try:
        for other in set(state.keys(folder)) - {key}:
            state.drop(other)
        state.put_new(key, seal({"known_since_s": now_s}))
        return max(0.0, now_s - float(unseal(state.read(key), f"{key} in {state.uri}")["known_since_s"]))
    except (OSError, Refused):  # a machine without a folder of its own remembers nothing
        return 0.0


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _since_boot_s() -> float:
    clock = getattr(time, "CLOCK_BOOTTIME", None)  # it continues while the machine sleeps
    return time.monotonic() if clock is None else time.clock_gettime(clock)
