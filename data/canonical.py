"""One way to write JSON, one way to hash it, and documents that carry their own hash.

Ids are hashes of what they name, so two machines that do the same work give it the same id.
"""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from data.errors import FieldMissing, Refused
from data.escape import utf8_of_argument

Document = dict[str, Any]


class _Sealed(dict[str, Any]):
    """A part of a sealed document: a field that it does not have is a refusal with the place, not a KeyError."""

    def __init__(self, fields: Document, where: str) -> None:
        super().__init__(fields)
        self.where = where

    def __missing__(self, name: str) -> Any:
        raise FieldMissing(f"{self.where} has no field {name!r}. Restore it from a backup.")

    def __or__(self, other: Any) -> Any:
        return _Sealed(dict(self) | other, self.where)

    def __reduce__(self) -> tuple[type[Document], tuple[Document]]:
        return dict, (dict(self),)  # a copy, or what another process gets, is plain


def canonical_json(value: object) -> bytes:
    """Write JSON with sorted keys and no spaces: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it, what is not a number as text: evidence is often NaN, and must not be lost."""
    if isinstance(value, dict):
        return {str(plain(str(name))): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, str):
        return utf8_of_argument(value)
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_id(value: object) -> str:
    """Return the 16 characters by which a value is known; the first is a letter, so that no tool reads a number."""
    return "x" + sha256(canonical_json(value))[:15]


def seal(document: Document) -> bytes:
    """Write a document together with the hash of the rest of it."""
    return canonical_json(document | {"sha256": sha256(canonical_json(document))})


def unseal(data: bytes, where: str) -> Document:
    """Read a sealed document; raise Refused if it is damaged, and later for a field that it does not have."""
    try:
        document: Document = json.loads(data, object_hook=lambda fields: _Sealed(fields, where))
        stated = document.pop("sha256")
        actual = sha256(canonical_json(document))
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError, MemoryError) as error:
        raise Refused(f"{where} is damaged: it is not a sealed document. Restore it from a backup.") from error
    if actual != stated:
        raise Refused(f"{where} is damaged: its content does not match its own sha256. Restore it from a backup.")
    return document
