"""What a store is: keys, and six verbs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]*(/[A-Za-z0-9][A-Za-z0-9._=-]*)*")


def check_key(key: str) -> str:
    """Return the key, or raise ValueError where it could leave the store or be listed under another name."""
    if not is_key(key):
        raise ValueError(f"not a key of the store: {key!r}")
    return key


def is_key(key: str) -> bool:
    """Whether a store could have written this name: file managers and consoles leave others, and nobody lists them."""
    return KEY.fullmatch(key) is not None and len(key) <= 900


class Store(Protocol):
    """What every backend offers; keys are like `campaigns/sentiment/runs/x1f/manifest.json`."""

    uri: str

    def put_new(self, key: str, data: bytes) -> bool:
        """Create `key`; return False, and change nothing, where it exists."""

    def put_file(self, key: str, source: Path) -> bool:
        """`put_new` with the bytes of a file, in constant memory."""

    def read(self, key: str) -> bytes:
        """Return the bytes of `key`; raise FileNotFoundError where there is none."""

    def local_path(self, key: str) -> Path:
        """Return a file on this machine that holds the bytes of `key`; nobody may write to it."""

    def keys(self, prefix: str) -> list[str]:
        """List, in order, all keys that begin with the folder `prefix`."""

    def drop(self, key: str) -> None:
        """Remove `key` if it exists. Only for the checkpoints of a training: nothing that was made is ever dropped."""


def folders(store: Store, prefix: str) -> Iterator[str]:
    """Name the folders directly below `prefix`, in order."""
    depth = prefix.count("/") + 1
    yield from sorted({key.split("/")[depth] for key in store.keys(prefix) if key.count("/") > depth})
