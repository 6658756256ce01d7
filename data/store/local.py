"""The store: named bytes that are written once and never changed.

Promises, held by tests/data/test_store_contract.py for every backend: a name holds all of its bytes or does not exist;
of several writers of one name exactly one creates it; what was created is listed from then on; and once `put_new`
returns, the bytes survive a power loss. Nothing is overwritten or renamed, so readers need no locks; only the
checkpoints of a training under way are ever removed.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from data.errors import Unavailable
from data.store.base import check_key, is_key


class LocalStore:
    """A folder. Temporary file, fsync, hard link to the name, fsync of the folder: a name is never half there."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.uri = str(self.root)
        self._durable: set[Path] = set()
        self._had_content = False

    def put_new(self, key: str, data: bytes) -> bool:
        return self._create(check_key(key), lambda file: file.write(data))

    def put_file(self, key: str, source: Path) -> bool:
        with source.open("rb") as content:
            return self._create(check_key(key), lambda file: shutil.copyfileobj(content, file, 1 << 20))

    def read(self, key: str) -> bytes:
        return _plain_file(self.root / check_key(key)).read_bytes()

    def local_path(self, key: str) -> Path:
        return _plain_file(self.root / check_key(key))

    def keys(self, prefix: str) -> list[str]:
        self._check_mounted()
        return sorted(filter(is_key, self._files(check_key(prefix))))

    def _files(self, prefix: str) -> Iterator[str]:
        """Yield the files below a folder that may not exist; one that cannot be read is an error, not an empty one."""
        try:
            with os.scandir(self.root / prefix) as listed:
                for entry in listed:
                    if entry.is_dir(follow_symlinks=False):
                        yield from self._files(f"{prefix}/{entry.name}")
                    elif entry.is_file(follow_symlinks=False) or os.path.isfile(entry.path):
                        yield f"{prefix}/{entry.name}"
        except (FileNotFoundError, NotADirectoryError):
            pass

    def drop(self, key: str) -> None:
        try:
            (self.root / check_key(key)).unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(f"{key} cannot be removed from the store {self.root}: {error.strerror}.") from error

    def _create(self, key: str, write: Callable[[IO[bytes]], object]) -> bool:
        """Create a name; raise Unavailable where the disk does not take it."""
        self._check_mounted()
        try:
            return self._created(self.root / key, write)
        except OSError as error:
            where = error.filename or key
            raise Unavailable(f"The store {self.root} cannot be written: {error.strerror} at {where}.") from error

    def _created(self, final: Path, write: Callable[[IO[bytes]], object]) -> bool:
        self._make_durable(final.parent)
        self._make_durable(self.root / ".tmp")
        descriptor, name = tempfile.mkstemp(dir=self.root / ".tmp")
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), 0o644)  # a team reads one store; mkstemp's 0600 is for secrets
                write(file)
                file.flush()
                os.fsync(file.fileno())  # that this failed is final: asked again, a disk may say yes to lost bytes
            _sync_folder(final.parent)  # what the writer saw there, another one's last entry, is durable before its own
            try:
                os.link(name, final)
                created = True
            except FileExistsError:
                if not final.is_file():
                    raise OSError(errno.EEXIST, "its name is taken by something that is not a file", final) from None
                created = False
            # The loser syncs too: it will act on the winner's entry, and the winner may have died before its own sync.
            _sync_folder(final.parent)
            return created
        finally:
            with suppress(OSError):  # a temporary file that stays is read by nobody
                os.unlink(name)

    def _check_mounted(self) -> None:
        """Raise Unavailable if the folder had content and is gone or empty now: then its disk is not mounted."""
        try:
            with os.scandir(self.root) as listed:
                has_content = next(listed, None) is not None
        except (FileNotFoundError, NotADirectoryError):
            has_content = False
        if self._had_content and not has_content:
            raise Unavailable(f"The store {self.root} is gone. Mount its disk again, or bring the folder back.")
        self._had_content = has_content

    def _make_durable(self, folder: Path) -> None:
        """Create a folder and sync every folder above it, once in the life of this object."""
        if folder in self._durable:
            return
        folder.mkdir(parents=True, exist_ok=True)
        above = folder
        while above != self.root.parent:
            _sync_folder(above)
            above = above.parent
        _sync_folder(self.root.parent)
        self._durable.add(folder)


def _plain_file(path: Path) -> Path:
    """Return the path; raise FileNotFoundError unless it is a file, for reading a pipe or a device may never end."""
    if not path.is_file():
        raise FileNotFoundError(errno.ENOENT, "There is no such file", str(path))
    return path


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
