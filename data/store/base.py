"""What a store is: keys, and six verbs."""

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]*(/[A-Za-z0-9][A-Za-z0-9._=-]*)*")
LITTER = {
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
}  # files that systems leave in folders, under names that keys may have
READERS = 16  # requests at the same time


def check_key(key: str) -> str:
    """Return the key, or raise ValueError if it could leave the store or be listed under another name."""
    if not is_key(key):
        raise ValueError(f"not a key of the store: {key!r}")
    return key


def is_key(key: str) -> bool:
    """Tell whether a store could have written this name; other names, such as .DS_Store, are not listed."""
    return KEY.fullmatch(key) is not None and len(key) <= 900


class Store(Protocol):
    """What every backend offers; keys are like `campaigns/sentiment/runs/x1f/manifest.json`."""

    uri: str

    def put_new(self, key: str, data: bytes) -> bool:
        """Create `key`; return False, and change nothing, if it exists."""

    def put_file(self, key: str, source: Path) -> bool:
        """`put_new` with the bytes of a file, in constant memory."""

    def read(self, key: str) -> bytes:
        """Return the bytes of `key`; raise FileNotFoundError if there is none."""

    def local_path(self, key: str) -> Path:
        """Return a file on this machine with the bytes of `key`; nobody may write to it."""

    def keys(self, prefix: str) -> list[str]:
        """List, in order, all keys below the folder `prefix`: only files, no pipes, devices or links to folders."""

    def drop(self, key: str) -> None:
        """Remove `key` if it exists. Only for the checkpoints of a training: nothing that was made is ever dropped."""


def folders(store: Store, prefix: str) -> Iterator[str]:
    """Name the folders directly below `prefix`, in order."""
    depth = prefix.count("/") + 1
    yield from sorted({key.split("/")[depth] for key in store.keys(prefix) if key.count("/") > depth})


def named(store: Store, prefix: str, pattern: re.Pattern[str]) -> list[str]:
    """List, in order, the keys directly below `prefix` whose last part matches; other files there are not Andon's."""
    start = len(prefix) + 1
    return [key for key in store.keys(prefix) if pattern.fullmatch(key[start:])]


def read_all(store: Store, keys: Sequence[str]) -> list[bytes]:
    """Read several objects in the order of their keys; from S3 at the same time, because each one is a request."""
    if "://" not in store.uri or len(keys) < 2:
        return [store.read(key) for key in keys]
    with ThreadPoolExecutor(min(READERS, len(keys))) as pool:
        return list(pool.map(store.read, keys))
