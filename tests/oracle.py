"""What must become of every row of an answer file, in plain Python and row by row: the fast path is held to it.

Written apart from the fast path: it shares no reader and no column with it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

Fate = tuple[Any, ...]  # ("bad",), ("skipped",), ("repeated",) or ("counts", best sample, ranking, ratings)


def fates(rows: Sequence[Mapping[str, str]], asked: Mapping[str, tuple[str, tuple[int, ...]]]) -> list[Fate]:
    """Return the fate of each row of text cells, given content hash and shown order of every question."""
    read = [_read(row, asked) for row in rows]
    given: dict[tuple[str, str], list[int]] = {}
    for number, (row, fate) in enumerate(zip(rows, read, strict=True)):
        if fate[0] == "counts":
            given.setdefault((row["question_id"], row["labeler_id"]), []).append(number)
    for numbers in given.values():
        if len({json.dumps(read[number]) for number in numbers}) > 1:
            for number in numbers:
                read[number] = ("bad",)
        else:
            for number in numbers[1:]:
                read[number] = ("repeated",)
    return read


def _read(row: Mapping[str, str], asked: Mapping[str, tuple[str, tuple[int, ...]]]) -> Fate:
    if row["question_id"] not in asked or not row["labeler_id"].strip():
        return ("bad",)
    content, shown = asked[row["question_id"]]
    if row["content_sha256"] != content:
        return ("bad",)
    skips = row.get("skip", "").strip().lower() in ("true", "yes", "y", "1", "1.0")
    cells = [row.get(name, "") for name in ("best", "ranking", "ratings")]
    if skips:
        return ("bad",) if any(cells) else ("skipped",)
    if not any(cells):
        return ("bad",)
    try:
        best, ranking, ratings = cells
        return ("counts", *_said(best, ranking, ratings, shown))
    except (ValueError, TypeError, KeyError, AssertionError):
        return ("bad",)


def _said(best: str, ranking: str, ratings: str, shown: tuple[int, ...]) -> tuple[Any, Any, Any]:
    choice, groups, rated = None, None, None
    if best:
        assert best in ("0", "1", "2", "3")
        choice = int(best)
    if ranking:
        places = json.loads(ranking)
        flat = [place for group in places for place in group]
        assert all(type(place) is int and 0 <= place < len(shown) for place in flat)
        assert len(flat) == len(set(flat)) >= 2 and all(places)
        assert choice is None or choice in places[0]
        choice = places[0][0] if len(places[0]) == 1 else None
        groups = [sorted(shown[place] for place in group) for group in places]
    if ratings:
        axes = json.loads(ratings)
        assert axes and set(axes) <= {"accuracy", "coverage", "coherence", "overall"}
        rated = {}
        for axis, numbers in axes.items():
            assert len(numbers) == len(shown) and all(type(n) in (int, float) and 1 <= n <= 7 for n in numbers)
            rated[axis] = {shown[place]: float(number) for place, number in enumerate(numbers)}
    by_sample = (
        {axis: [rated[axis][sample] for sample in range(len(shown))] for axis in sorted(rated)} if rated else None
    )
    return None if choice is None else shown[choice], groups, by_sample
