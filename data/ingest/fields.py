"""The fields of one answer: what a vendor may write into each, and the one form in which we keep it.

Every function takes what was delivered, text of a CSV file or a value of Parquet or JSON, and returns the canonical
value, or raises BadAnswer with what is wrong. Nothing is guessed or repaired.
"""

import math
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from data.answers.base import BadAnswer, read_json
from data.escape import shown, valid_utf8

MOST_BYTES_OF_TEXT = 20_000
MOST_BYTES_OF_LABELER = 200
LARGEST = 1e12  # largest allowed number in a field that names no option, so that sums stay finite


def labeler(value: object) -> str:
    if value is None or value == "":
        raise BadAnswer("labeler_id is missing")
    name = one_name(str(value))
    if not name or not name.isprintable() or len(name.encode()) > MOST_BYTES_OF_LABELER:
        raise BadAnswer(f"labeler_id is not a name: {shown(name)}")
    return name


def one_name(name: str) -> str:
    """Return a name without spaces around it and in composed Unicode, so that two spellings are one person."""
    return unicodedata.normalize("NFC", name.strip())


def is_skip(value: object) -> bool:
    """Say whether a labeler chose not to answer."""
    return str(value).strip().lower() in ("true", "1", "1.0", "yes", "y")


def number(name: str, value: object) -> float:
    try:
        found = float(str(value))
    except ValueError as error:
        raise BadAnswer(f"{name} is not a number: {shown(value)}") from error
    if not math.isfinite(found):
        raise BadAnswer(f"{name} is not a finite number")
    if abs(found) > LARGEST:
        raise BadAnswer(f"{name} is not a number up to {LARGEST:.0e}: {shown(value)}")
    return found


def flags(value: object) -> list[str]:
    """Read a list, or text that separates flags by ; or ,."""
    if isinstance(value, str):
        value = read_json("flags", value) if value.startswith("[") else value.replace(";", ",").split(",")
    several = value if isinstance(value, list) else [value]
    return [text("flags", flag).strip() for flag in several if str(flag).strip()]


def moment(value: object) -> str:
    """Read a time with its zone and write it in UTC."""
    try:
        found = datetime.fromisoformat(str(value))
        if found.tzinfo is None:
            raise BadAnswer(f"answered_at has no time zone: {shown(value)}")
        return found.astimezone(UTC).isoformat()
    except (ValueError, OverflowError) as error:  # year 1 or 9999 may lie beyond its ends in UTC
        raise BadAnswer(f"answered_at is not a time: {shown(value)}") from error


def text(name: str, value: object) -> str:
    written = valid_utf8(str(value))  # JSON inside a cell may hold half a surrogate pair
    if (size := len(written.encode())) > MOST_BYTES_OF_TEXT:
        raise BadAnswer(f"{name} has {size:,} bytes, more than {MOST_BYTES_OF_TEXT:,}")
    return written


def optional(name: str) -> Callable[[object], Any]:
    """Return the reader of an optional field that says nothing about which option is best."""
    if name in ("seconds", "confidence"):
        return lambda value: number(name, value)
    return {"flags": flags, "answered_at": moment}.get(name, lambda value: text(name, value))
