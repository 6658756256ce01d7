"""The content of a delivered file for formats: its first bytes, the names in its first objects, its objects."""

from collections.abc import Iterator
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

from data.errors import Refused
from data.escape import valid_utf8
from data.exchange.json_rows import is_page, read_objects

FIRST_BYTES = 64
FIRST_OBJECTS = 1_000  # number of JSON objects that are searched for names of columns


class Content:
    """A delivered file. Its objects are read once, even if several formats look at their names."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self.head = file.read(FIRST_BYTES)

    @property
    def is_json(self) -> bool:
        return self._text[:1] in (b"[", b"{")

    @property
    def is_lines(self) -> bool:
        """Whether the file is JSON with one object a line, and not one array."""
        return self._text[:1] == b"{" and not is_page(self._text.decode("utf-8", "replace"))

    @property
    def _text(self) -> bytes:
        return self.head.lstrip(b"\xef\xbb\xbf \t\r\n")

    @cached_property
    def names(self) -> list[str]:
        """All names in the first objects of a JSON file, because an object may leave some out."""
        return list(dict.fromkeys(valid_utf8(name) for row in self._first for name in row)) if self.is_json else []

    def objects(self) -> Iterator[dict[str, Any]]:
        """Return all objects of a JSON file; they can be read once."""
        return chain(self._first, self._objects)

    @cached_property
    def _objects(self) -> Iterator[dict[str, Any]]:
        return read_objects(self.path, self.is_lines)

    @cached_property
    def _first(self) -> list[dict[str, Any]]:
        first = list(islice(self._objects, FIRST_OBJECTS))
        if not first:
            raise Refused(f"{self.path.name} has no rows. Deliver a file with answers.")
        return first
