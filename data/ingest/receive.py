"""Taking a delivered file into our hands: a copy of our own of a plain file, whatever happens outside meanwhile."""

import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

from data.canonical import sha256_of_file
from data.errors import Refused
from data.escape import shown_name
from data.ingest.reader import MOST_BYTES
from data.store import Store

MOST_BYTES_OF_NAME = 200  # in UTF-8
KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


class ReceivedFile(NamedTuple):
    """A copy of a delivered file, and the batch that it answers."""

    store: Store
    name: str  # of the campaign, or of its comparisons (data/paths.py)
    batch: str
    path: Path
    digest: str  # SHA-256


def receive(delivery: Path, folder: Path) -> Path:
    """Copy a delivered file into a folder and return the copy; raise Refused if it is no file, or not whole.

    If there is a file `NAME.sha256` next to it, as sha256sum writes one, the copy must have that hash. The copy has the
    name by which messages and the log call the file.
    """
    place = shown_name(str(delivery))
    name = shown_name(delivery.name).encode()[:MOST_BYTES_OF_NAME].decode(errors="ignore")
    try:
        source = os.open(delivery, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise Refused(f"There is no file {place}.") from error
    except OSError as error:
        link = " It is a link: name the file itself." if delivery.is_symlink() else ""
        raise Refused(f"{place} cannot be read: {error.strerror}.{link}") from error
    try:
        kind = os.fstat(source)
        if not stat.S_ISREG(kind.st_mode):
            kind_of_file = KINDS.get(stat.S_IFMT(kind.st_mode), "a device")
            raise Refused(f"{place} is {kind_of_file}: give the answer file itself.")
    except Refused:
        os.close(source)
        raise
    with os.fdopen(source, "rb") as content:
        if kind.st_size > MOST_BYTES:
            raise Refused(f"{name} has {kind.st_size:,} bytes: deliver it in files of at most {MOST_BYTES:,}.")
        arrived = folder / "delivered" / name  # a folder of its own, so that no name can meet a file of ours
        arrived.parent.mkdir(exist_ok=True)
        with arrived.open("wb") as copy:
            while block := content.read(1 << 20):
                copy.write(block)
    _compare(delivery, arrived)
    return arrived


def check_name(path: Path) -> None:
    """Raise Refused if the name of a file is no text: it is handed on as text before the file is opened."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise Refused(f"{shown_name(str(path))}: the name is not UTF-8. Rename the file.") from error


def _compare(delivery: Path, arrived: Path) -> None:
    stated_file = delivery.with_name(delivery.name + ".sha256")
    if not stated_file.is_file():
        return
    with stated_file.open("rb") as file:
        stated = re.match(r"[0-9a-f]{64}", file.read(64).decode(errors="replace"))
    if stated is None or stated.group() != sha256_of_file(arrived):
        raise Refused(f"{arrived.name} is not what {arrived.name}.sha256 says: it is still being written, or damaged.")
