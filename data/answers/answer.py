"""One answer, which may be of more than one kind: its best sample, and the details by the name of their kind."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.answers import BEST, BY_NAME, DETAILED, KINDS
from data.answers.base import BadAnswer, Kind, Target, compact
from data.escape import shown

Details = Mapping[str, Any]  # stored value by the name of its kind in DETAILED; kinds without an answer are left out
Habits = Mapping[tuple[str, str], Any]  # statistics by labeler and kind
NO_DETAILS: Details = {}
NAMED_BY_PLACE = ("ranking", "ratings")  # kinds that enter the id of a label without their name


def to_samples(best: int | None, rows: Mapping[str, Any], order: tuple[int, ...]) -> tuple[int | None, dict[str, Any]]:
    """Return the position that is best, None if there is no single one, and the details by sample.

    `rows` are the values of a row by the name of their kind. Raises BadAnswer if they do not fit the question, or if
    two of them contradict each other.
    """
    position = best
    details = {}
    for name, value in rows.items():
        details[name] = BY_NAME[name].to_samples(value, order)
        if (first := BY_NAME[name].first(value)) is not None:
            if best is not None and best not in first:
                raise BadAnswer(f"best is {best}, which the {name} does not put first: {shown(value)}")
            position = first[0] if len(first) == 1 else None
    return position, details


def text_of(best: int | None, details: Details) -> str:
    """Return an answer with details as text, equal for equal answers."""
    return compact([best, *(details.get(kind.name) for kind in DETAILED)])


def named(details: Details) -> list[Any] | None:
    """Return details as they enter the id of a label; None without details.

    Kinds newer than the first two enter with their names, so that ids of old labels stay the same.
    """
    by_place = [details.get(name) for name in NAMED_BY_PLACE]
    by_name = {name: value for name, value in details.items() if name not in NAMED_BY_PLACE}
    return [*by_place, *([by_name] if by_name else [])] if any(by_place) or by_name else None


def _values(best: int | None, details: Details) -> list[tuple[Kind, Any]]:
    """Return the kinds of an answer, lowest precedence first, each with its stored value."""
    stored = {**({} if best is None else {BEST.name: best}), **details}
    return [(kind, stored[kind.name]) for kind in KINDS if kind.name in stored]


def habits(answers: Sequence[tuple[str, Details]]) -> Habits:
    """Return statistics of each labeler's answers of each kind, from (labeler, details) of all answers."""
    values: dict[tuple[str, str], list[Any]] = {}
    for labeler, details in answers:
        for name, value in details.items():
            values.setdefault((labeler, name), []).append(value)
    return {(labeler, name): BY_NAME[name].habit(stored) for (labeler, name), stored in values.items()}


def target(best: int | None, details: Details, labeler: str, k: int, habits: Habits) -> Target:
    """Return the training target of an answer about k samples. Kinds of higher precedence replace those of lower."""
    whole = Target()
    for kind, value in _values(best, details):
        own = kind.target(value, k, habits.get((labeler, kind.name)))
        whole = Target(own.choices or whole.choices, own.ratings or whole.ratings)
    return whole


def favourite(best: int | None, details: Details, k: int) -> int | None:
    """Return the preferred sample of an answer, the first one in a tie; None for an answer without any kind."""
    for kind, value in _values(best, details):
        numbers = kind.utilities(value, k)
        return numbers.index(max(numbers))
    return None


def count_undecided(labels: pa.Table) -> int:
    """Return the number of labels that prefer no sample by any kind of their answer."""
    undecided = np.array(pc.is_null(labels["best_sample"]))
    for kind in DETAILED:
        column = labels[kind.name]
        undecided &= np.array(pc.is_null(column)) | kind.undecided(column)
    return int(undecided.sum())


def won(best: int | None, details: Details) -> float:
    """Return the result of the first of two samples: 1 if it is preferred, 0 if the other is, 0.5 for a tie."""
    for kind, value in _values(best, details):
        first, second = kind.utilities(value, 2)
        if first != second:
            return float(first > second)
    return 0.5
