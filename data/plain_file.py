"""Files of a user that are read whole: plain ones of a bounded size, and no device, pipe or endless file."""

import os
import stat
from pathlib import Path

from data.errors import Refused
from data.escape import shown_name

KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


def read_plain(path: Path, most: int) -> bytes:
    """Return the content of a plain file of at most `most` bytes; raise Refused for any other, OSError as open does.

    The size is checked while it is read: a file of /proc has no size, and another one may grow.
    """
    place = shown_name(str(path))
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe without a writer would wait for one
    with os.fdopen(descriptor, "rb") as file:
        kind = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(kind):
            raise Refused(f"{place} is {KINDS.get(stat.S_IFMT(kind), 'a device')}: give a plain file.")
        content = file.read(most + 1)
    if len(content) > most:
        raise Refused(f"{place} has more than {most:,} bytes: give a smaller file.")
    return content
