"""The fields of one answer: what a vendor may write into each, and the one form in which we keep it.

Every function takes what was delivered, text of a CSV file or a value of Parquet or JSON, and returns the canonical
value, or raises BadRow with what is wrong. Nothing is guessed or repaired.
"""

import json
import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from data.escape import shown, valid_utf8
from data.labels.table import Ranking

AXES = ("accuracy", "coverage", "coherence", "overall")  # on which options may be rated
LOWEST, HIGHEST = 1, 7
MOST_BYTES_OF_TEXT = 20_000
MOST_BYTES_OF_LABELER = 200
LARGEST = 1e12  # of a number that says nothing of options: what is summed stays finite
NAMED_OPTION = re.compile(r"(?i)[a-j]|(option|opt|sample|response)[ _-]?[a-j0-9]")
INTEGER = re.compile(r"-?[0-9]{1,9}(\.0+)?")


class BadRow(Exception):
    """Why one row cannot be accepted."""


def labeler(value: object) -> str:
    if value is None or value == "":
        raise BadRow("labeler_id is missing")
    name = one_name(str(value))
    if not name or not name.isprintable() or len(name.encode()) > MOST_BYTES_OF_LABELER:
        raise BadRow(f"labeler_id is not a name: {shown(name)}")
    return name


def one_name(name: str) -> str:
    """Return a name without spaces around it, composed: as two files write it, so that nobody counts as two people."""
    return unicodedata.normalize("NFC", name.strip())


def index(value: object) -> int:
    """Read a position as shown: an integer, or a float without a fraction, as pandas writes it beside gaps."""
    if isinstance(value, str) and INTEGER.fullmatch(value):
        return int(float(value))
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) and math.isfinite(value):
        whole = int(value)
        if whole == value and abs(whole) < 10**9:
            return whole
    hint = "; write the position shown, from 0" if isinstance(value, str) and NAMED_OPTION.fullmatch(value) else ""
    raise BadRow(f"best is not an integer that could be an option: {shown(value)}{hint}")


def ranking(value: object) -> Ranking:
    """Read groups of positions, best first, such as [[2],[0,3]]; options that are left out were not ranked."""
    groups = _json("ranking", value)
    if not isinstance(groups, list) or not all(isinstance(group, list) and group for group in groups):
        raise BadRow(f"ranking is not a list of groups such as [[2],[0,3]]: {shown(value)}")
    options = [option for group in groups for option in group]
    if not all(isinstance(option, int) and not isinstance(option, bool) and option >= 0 for option in options):
        raise BadRow(f"ranking holds something other than positions from 0: {shown(value)}")
    if len(set(options)) < len(options):
        raise BadRow(f"ranking names an option twice: {shown(value)}")
    if len(options) < 2:
        raise BadRow(f"ranking compares nothing: {shown(value)}")
    return tuple(tuple(sorted(group)) for group in groups)


def ratings(value: object) -> dict[str, list[float]]:
    """Read ratings such as {"accuracy":[7,3,5,6]}: for each axis a number from 1 to 7 for every option shown."""
    axes = _json("ratings", value)
    if not isinstance(axes, dict) or not axes:
        raise BadRow(f'ratings are not axes such as {{"overall":[7,3,5,6]}}: {shown(value)}')
    for axis, numbers in axes.items():
        if axis not in AXES:
            raise BadRow(f"ratings have an axis {shown(axis)}; there are: {', '.join(AXES)}")
        if not isinstance(numbers, list) or not all(_is_number(n) and LOWEST <= n <= HIGHEST for n in numbers):
            raise BadRow(f"ratings of {axis} are not numbers from {LOWEST} to {HIGHEST}: {shown(numbers)}")
    if len({len(numbers) for numbers in axes.values()}) > 1:
        raise BadRow("ratings have a number of options that differs between axes")
    return {axis: [_plain(n) for n in axes[axis]] for axis in AXES if axis in axes}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _plain(number: float) -> float:
    """Write 7.0 and 7 alike, so that equal ratings are equal text."""
    return int(number) if float(number).is_integer() else float(number)


def _json(name: str, value: object) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise BadRow(f"{name} is not JSON: {shown(value)}") from error


def is_skip(value: object) -> bool:
    """Say whether a labeler chose not to answer."""
    return str(value).strip().lower() in ("true", "1", "1.0", "yes", "y")


def number(name: str, value: object) -> float:
    try:
        found = float(str(value))
    except ValueError as error:
        raise BadRow(f"{name} is not a number: {shown(value)}") from error
    if not math.isfinite(found):
        raise BadRow(f"{name} is not a finite number")
    if abs(found) > LARGEST:
        raise BadRow(f"{name} is not a number up to {LARGEST:.0e}: {shown(value)}")
    return found


def flags(value: object) -> list[str]:
    """Read a list, or text that separates flags by ; or ,."""
    if isinstance(value, str):
        value = _json("flags", value) if value.startswith("[") else value.replace(";", ",").split(",")
    several = value if isinstance(value, list) else [value]
    return [text("flags", flag).strip() for flag in several if str(flag).strip()]


def moment(value: object) -> str:
    """Read a time with its zone and write it in UTC."""
    try:
        found = datetime.fromisoformat(str(value))
        if found.tzinfo is None:
            raise BadRow(f"answered_at has no time zone: {shown(value)}")
        return found.astimezone(UTC).isoformat()
    except (ValueError, OverflowError) as error:  # year 1 or 9999 may lie beyond its ends in UTC
        raise BadRow(f"answered_at is not a time: {shown(value)}") from error


def text(name: str, value: object) -> str:
    written = valid_utf8(str(value))  # JSON inside a cell may hold half a surrogate pair
    if (size := len(written.encode())) > MOST_BYTES_OF_TEXT:
        raise BadRow(f"{name} has {size:,} bytes, more than {MOST_BYTES_OF_TEXT:,}")
    return written


def to_samples(groups: Sequence[Sequence[int]], order: Sequence[int]) -> list[list[int]]:
    """Name samples in place of the positions at which they were shown."""
    return [sorted(order[position] for position in group) for group in groups]


def optional(name: str) -> Callable[[object], Any]:
    """Return the reader of an optional field that says nothing about which option is best."""
    if name in ("seconds", "confidence"):
        return lambda value: number(name, value)
    return {"flags": flags, "answered_at": moment}.get(name, lambda value: text(name, value))
