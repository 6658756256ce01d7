"""Names in a store that Andon did not write: what file managers, people and other programs leave there.

Readers pass over them. A pipe or a folder with the name of an entry is worse: nothing can be appended to its log.
"""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from data.paths import KEYS
from data.store.base import LITTER, Store, is_key
from data.store.local import LocalStore
from data.store.s3 import S3Store

OWN_FOLDERS = (".tmp", ".prefect")
ENTRY = re.compile(r".*/log/[0-9]{10}\.json")


class Foreign(NamedTuple):
    """Names below a store, in order."""

    passed_over: list[str]
    in_the_way: list[str]  # not files, but with the name of an entry


def foreign(store: Store) -> Foreign:
    """Name everything in a store that is not Andon's."""
    passed_over, in_the_way = [], []
    for name, plain in _names(store):
        if ENTRY.fullmatch(name) and not plain:
            in_the_way.append(name)
        elif not plain or not is_key(name) or not KEYS.fullmatch(name) or name.rsplit("/", 1)[-1].lower() in LITTER:
            passed_over.append(name)
    return Foreign(sorted(passed_over), sorted(in_the_way))


def _names(store: Store) -> Iterator[tuple[str, bool]]:
    """Yield all names below a store, and whether each is a file that readers take."""
    if isinstance(store, S3Store):
        yield from ((name, True) for name in store.names())
    elif isinstance(store, LocalStore):
        for folder, folders, files in os.walk(store.root):
            here = Path(folder)
            if here == store.root:
                folders[:] = [name for name in folders if name not in OWN_FOLDERS]
            for name in files + folders:
                path = here / name
                relative = path.relative_to(store.root).as_posix()
                if name in files or path.is_symlink() or ENTRY.fullmatch(relative):
                    yield relative, _is_plain(path, "/inbox/" in relative)


def _is_plain(path: Path, delivered: bool) -> bool:
    """Tell whether a path is a file that readers take; a delivery must not be a link of any kind."""
    try:
        found = path.lstat() if delivered else path.stat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and not (delivered and found.st_nlink > 1)
