"""Ratings: for each axis, a number from 1 to 7 for every option."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.answers.base import (
    SKIP_CONTROL,
    SKIP_QUESTION,
    BadAnswer,
    Kind,
    Option,
    Result,
    Target,
    compact,
    numbers_of,
    option_names,
    read_json,
)
from data.escape import shown

Axis = Literal["accuracy", "coverage", "coherence", "overall"]
AXES: tuple[str, ...] = get_args(Axis)
LOWEST, HIGHEST = 1, 7
CONTROL = re.compile(r"[a-z]+_option_[0-9]+")


class Scale(NamedTuple):
    """Mean and standard deviation of one labeler's ratings."""

    mean: float
    std: float


class Ratings(Kind):
    """As a row, JSON such as {"accuracy":[7,3,5,6]} by position; in a label, the same by sample."""

    name = "ratings"
    precedence = 2
    meaning = "JSON: for each axis (accuracy, coverage, coherence, overall) a number from 1 to 7 for each option"

    def read(self, value: object) -> str:
        axes = read_json("ratings", value)
        if not isinstance(axes, dict) or not axes:
            raise BadAnswer(f'ratings are not axes such as {{"overall":[7,3,5,6]}}: {shown(value)}')
        for axis, numbers in axes.items():
            if axis not in AXES:
                raise BadAnswer(f"ratings have an axis {shown(axis)}; there are: {', '.join(AXES)}")
            if not isinstance(numbers, list) or not all(_is_number(n) and LOWEST <= n <= HIGHEST for n in numbers):
                raise BadAnswer(f"ratings of {axis} are not numbers from {LOWEST} to {HIGHEST}: {shown(numbers)}")
        if len({len(numbers) for numbers in axes.values()}) > 1:
            raise BadAnswer("ratings have a number of options that differs between axes")
        return compact({axis: [_plain(n) for n in axes[axis]] for axis in AXES if axis in axes})

    def to_samples(self, value: str, order: tuple[int, ...]) -> str:
        axes = json.loads(value)
        if any(len(numbers) != len(order) for numbers in axes.values()):
            raise BadAnswer(f"ratings are not of {len(order)} options: {shown(value)}")
        return compact({axis: [numbers[order.index(s)] for s in range(len(order))] for axis, numbers in axes.items()})

    def utilities(self, stored: str, k: int) -> list[float]:
        """Return one number a sample: the axis `overall` if there is one, else the mean of all axes."""
        axes: dict[str, list[float]] = json.loads(stored)
        numbers = [axes["overall"]] if "overall" in axes else list(axes.values())
        return [sum(column) / len(column) for column in zip(*numbers, strict=True)]

    def undecided(self, column: pa.ChunkedArray) -> NDArray[np.bool_]:
        values = column.combine_chunks().dictionary_encode()
        flat = [len({*self.utilities(stored, 0)}) == 1 for stored in values.dictionary.to_pylist()]
        rows = values.indices.fill_null(len(flat)).to_numpy()
        of_row: NDArray[np.bool_] = np.array([*flat, False])[rows]
        return of_row

    def habit(self, values: Sequence[str]) -> Scale:
        numbers = [number for stored in values for number in self.utilities(stored, 0)]
        return Scale(float(np.mean(numbers)), float(np.std(numbers)))

    def target(self, stored: str, k: int, habit: Scale) -> Target:
        """Return standardised ratings; an empty Target for a labeler who gives all samples the same number."""
        if not habit.std > 0:
            return Target()
        return Target(ratings=tuple((number - habit.mean) / habit.std for number in self.utilities(stored, k)))

    def wording(self, axes: Sequence[str]) -> str:
        return f"Rate every option from {LOWEST} (worst) to {HIGHEST} (best) on: {', '.join(axes)}."

    def from_page(self, form: Mapping[str, Any], count: int, axes: Sequence[str]) -> dict[str, Any]:
        numbers = {axis: numbers_of(form, axis, count, LOWEST, HIGHEST) for axis in axes}
        if any(None in ratings for ratings in numbers.values()):
            raise BadAnswer(f"Rate every text from {LOWEST} to {HIGHEST} on {', '.join(axes)} first, or skip.")
        return {"ratings": compact(numbers)}

    def to_page(self, answer: Mapping[str, Any], axes: Sequence[str]) -> dict[str, Any]:
        ratings = read_json("ratings", answer.get("ratings"))
        return {"given": {axis: ratings[axis] for axis in axes if axis in ratings}} if ratings else {}

    def label_studio(self, options: Sequence[Option], axes: Sequence[str]) -> list[str]:
        tags = []
        for axis in axes:
            for option in options:
                tags.append(f'<Header value="{option.title}: {axis}"/>')
                tags.append(f'<Rating name="{axis}_{option.name}" toName="query" maxRating="{HIGHEST}"/>')
        return [*tags, SKIP_CONTROL]

    def is_control(self, name: str) -> bool:
        return CONTROL.fullmatch(name) is not None

    def reads_label_studio(self, name: str, value: Mapping[str, Any]) -> bool:
        return "rating" in value and self.is_control(name)

    def from_label_studio(self, results: Sequence[Result], count: int) -> dict[str, Any]:
        return {"ratings": _by_axis({name: value["rating"] for name, value in results}, count)}

    def argilla(self, names: Sequence[str], axes: Sequence[str]) -> list[dict[str, Any]]:
        values = list(range(LOWEST, HIGHEST + 1))
        rated = [f"{axis}_{name}" for axis in axes for name in names]
        return [*({"name": n, "type": "rating", "values": values, "required": False} for n in rated), SKIP_QUESTION]

    def from_argilla(self, given: Mapping[str, Any], count: int) -> dict[str, Any]:
        rated = {name: value for name, value in given.items() if "_option_" in name}
        return {"ratings": _by_axis(rated, count)} if rated else {}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _plain(number: float) -> float:
    """Return 7.0 as 7, so that equal ratings give equal texts."""
    return int(number) if float(number).is_integer() else float(number)


def _by_axis(given: Mapping[str, object], count: int) -> dict[str, list[object]]:
    """Return ratings by axis from ratings by name; None where an option was not rated."""
    axes = dict.fromkeys(name.partition("_option_")[0] for name in given)
    return {axis: [given.get(f"{axis}_{option}") for option in option_names(count)] for axis in axes}


KIND = Ratings()
