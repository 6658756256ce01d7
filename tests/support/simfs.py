"""A file system that loses what was not synced: it watches the real calls of the store, and says what may be left.

The store's own code runs on a real folder while `Recorder` notes every call that changes a disk. From any beginning of
that record `Disk` derives what a machine may find when it comes back: after the death of a process all that was
written; after a loss of power, of every name and every content that was not synced, either state. Content may also be
torn, zeros, or gone, since a file's length reaches the disk apart from its bytes.
"""

import io
import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, cast
from unittest.mock import patch

Files = dict[str, bytes | None]  # by path below the root; None is a folder


class Call(NamedTuple):
    """One call that changed something; paths are below the root."""

    kind: str  # mkdir, create, write, sync, link, unlink
    path: str
    other: str = ""  # of a link, its new name
    data: bytes = b""


class Recorder:
    """Notes what is done below a folder; `before` is asked before each call."""

    def __init__(self, root: Path, before: Callable[[Call], None] = lambda call: None) -> None:
        self.root = str(root)
        self.calls: list[Call] = []
        self.before = before
        self._open: dict[int, str] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        real = {name: getattr(os, name) for name in ("open", "mkdir", "link", "unlink", "fsync", "fdopen")}

        def opened(path: Any, flags: int, *rest: Any, **named: Any) -> int:
            created = Call("create", self._inside(path)) if flags & os.O_CREAT and self._inside(path) else None
            if created:
                self.before(created)
            descriptor: int = real["open"](path, flags, *rest, **named)
            self._open[descriptor] = self._inside(path)
            if created:
                self.calls.append(created)
            return descriptor

        def mkdir(path: Any, *rest: Any, **named: Any) -> None:
            if self._inside(path) and not os.path.exists(path) and os.path.isdir(os.path.dirname(path)):
                self._note(Call("mkdir", self._inside(path)))
            real["mkdir"](path, *rest, **named)

        def link(source: Any, name: Any) -> None:
            if self._inside(name):
                self.before(Call("link", self._inside(source), self._inside(name)))
            real["link"](source, name)  # that it exists already changes nothing
            if self._inside(name):
                self.calls.append(Call("link", self._inside(source), self._inside(name)))

        def unlink(path: Any, *rest: Any, **named: Any) -> None:
            if self._inside(path) and os.path.lexists(path):
                self._note(Call("unlink", self._inside(path)))
            real["unlink"](path, *rest, **named)

        def fsync(descriptor: int) -> None:  # really syncing would only take time
            if path := self._open.get(descriptor):
                self._note(Call("sync", path))

        def fdopen(descriptor: int, *rest: Any, **named: Any) -> IO[bytes]:
            file = real["fdopen"](descriptor, *rest, **named)
            path = self._open.get(descriptor)
            return cast(IO[bytes], _Written(file, path, self._note)) if path else file

        fakes = {"open": opened, "mkdir": mkdir, "link": link, "unlink": unlink, "fsync": fsync, "fdopen": fdopen}
        with ExitStack() as patched:
            for name, fake in fakes.items():
                patched.enter_context(patch.object(os, name, fake))
            yield

    def published(self, failed: Call) -> bool:
        """Return whether a file whose sync failed was given a name all the same."""
        return failed.kind == "sync" and any(c.kind == "link" and c.path == failed.path for c in self.calls)

    def _note(self, call: Call) -> None:
        self.before(call)
        self.calls.append(call)

    def _inside(self, path: Any) -> str:
        text = os.fspath(path)
        return text[len(self.root) + 1 :] or "." if text == self.root or text.startswith(f"{self.root}/") else ""


class _Written:
    """A file whose every write is two calls, so that a process can die between the halves."""

    def __init__(self, file: io.BufferedWriter, path: str, note: Callable[[Call], None]) -> None:
        self._file, self._path, self._note = file, path, note

    def write(self, data: bytes) -> int:
        half = len(data) // 2
        for part in (data[:half], data[half:]):
            self._note(Call("write", self._path, data=bytes(part)))
            self._file.write(part)
            self._file.flush()
        return len(data)

    def __enter__(self) -> "_Written":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class Disk:
    """What a disk holds after some calls: as processes see it, and as far as it is certain to survive."""

    def __init__(self) -> None:
        self.seen: dict[str, int | None] = {}  # path -> number of its content; None is a folder
        self.kept: dict[str, int | None] = {}
        self.content: list[bytes] = []
        self.synced: list[bytes] = []

    @staticmethod
    def of(files: Files) -> "Disk":
        """Return a disk on which all of this is safe."""
        disk = Disk()
        for path, what in files.items():
            disk.seen[path] = None if what is None else len(disk.content)
            disk.content += [] if what is None else [what]
        disk.kept, disk.synced = dict(disk.seen), list(disk.content)
        return disk

    def apply(self, call: Call) -> None:
        match call.kind:
            case "mkdir":
                self.seen[call.path] = None
            case "create":
                self.seen[call.path] = len(self.content)
                self.content.append(b"")
                self.synced.append(b"")
            case "write":
                self.content[self._number(call.path)] += call.data
            case "link":
                self.seen[call.other] = self.seen[call.path]
            case "unlink":
                del self.seen[call.path]
            case "sync" if isinstance(number := self.seen.get(call.path), int):
                self.synced[number] = self.content[number]
            case "sync":
                for path in [path for path in self.kept if _parent(path) == call.path]:
                    del self.kept[path]
                self.kept |= {path: what for path, what in self.seen.items() if _parent(path) == call.path}

    def after_death(self) -> Files:
        """Return the disk after the process died: the system still writes all that it was given."""
        return self._files(self.seen, self.content)

    def after_power_loss(self, draw: random.Random) -> Files:
        """Return one of the disks that a loss of power may leave."""
        names = dict(self.kept)
        for path in sorted(self.seen.keys() | self.kept.keys()):
            if self.seen.get(path, -1) != self.kept.get(path, -1) and draw.random() < 0.5:
                if path in self.seen:
                    names[path] = self.seen[path]
                else:
                    del names[path]
        content = [
            whole if whole == synced else draw.choice(_partly(whole, synced, draw))
            for whole, synced in zip(self.content, self.synced, strict=True)
        ]
        return self._files(names, content)

    def _files(self, names: dict[str, int | None], content: list[bytes]) -> Files:
        found: Files = {}
        for path in sorted(names):  # folders come before what is in them, and with a lost folder all in it is lost
            if _parent(path) == "." or _parent(path) in found:
                number = names[path]
                found[path] = None if number is None else content[number]
        return {path: what for path, what in found.items() if "/.tmp/" not in path}  # which nobody reads

    def _number(self, path: str) -> int:
        number = self.seen[path]
        assert number is not None
        return number


def _partly(whole: bytes, synced: bytes, draw: random.Random) -> list[bytes]:
    return [synced, whole, b"", whole[: draw.randrange(len(whole))], bytes(len(whole))]


def _parent(path: str) -> str:
    return os.path.dirname(path) or "."


def restore(files: Files, root: Path) -> None:
    """Make a real folder that holds what a disk held."""
    root.mkdir()
    for path, what in files.items():
        if what is None:
            (root / path).mkdir()
        else:
            (root / path).write_bytes(what)
