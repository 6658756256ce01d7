"""The base class of kinds of answers: the column, the checks, the training target, and the widget of each tool.

A kind is one file of this package with a subclass of `Kind` as `KIND`; `data.answers` finds it there. An answer has
three forms: as delivered (text of a CSV cell, or a value of JSON or Parquet), as a row (by position as shown), and as
stored in a label (by sample).
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.escape import shown

SKIP_CONTROL = '<Choices name="skip" toName="query" choice="multiple"><Choice value="skip"/></Choices>'
SKIP_QUESTION = {"name": "skip", "type": "multi_label", "labels": ["skip", "none"], "required": False}


class BadAnswer(Exception):
    """A row that cannot be accepted; the message is the reason."""


class Choice(NamedTuple):
    """One choice: the options to choose from, and the share of the choice that each of them got (sum 1)."""

    among: tuple[int, ...]
    shares: tuple[float, ...]


class Target(NamedTuple):
    """The training target of one answer about k samples: a chain of choices, a number for each sample, or both."""

    choices: tuple[Choice, ...] = ()
    ratings: tuple[float, ...] = ()


class Option(NamedTuple):
    """One option of a labeling tool: its name, and the title that labelers see."""

    name: str
    title: str


Result = tuple[str, Mapping[str, Any]]  # of Label Studio: the name of a control, and what it returned


class Kind(ABC):
    """One kind of answer. `axes` are the axes of the campaign's `[ask]`, which most kinds ignore."""

    name: ClassVar[str]  # the value of `[ask] kind`, and the column in answer files and labels
    precedence: ClassVar[int] = 10  # if an answer has several kinds, the highest one decides the chain of choices
    row_type: ClassVar[pa.DataType] = pa.string()  # type in a row: JSON by position
    stored_type: ClassVar[pa.DataType] = pa.string()  # type in a label: JSON by sample
    parquet: ClassVar[str] = "text"  # allowed types of a delivered Parquet column, for a refusal
    meaning: ClassVar[str]  # its line in the data dictionary
    delivered: ClassVar[str] = ""  # text for the vendor in the dictionary, before `meaning`
    ties: ClassVar[bool] = False  # whether the page offers "all equally good"
    keys: ClassVar[str] = "a digit gives the marked number and goes on; Backspace goes back."  # of the page

    # As delivered.

    def takes(self, kind: pa.DataType) -> bool:
        """Return whether a Parquet column of this type can be read without guessing."""
        return is_text(kind)

    @abstractmethod
    def read(self, value: object) -> Any:
        """Return a delivered value in the form of a row (row_type); raise BadAnswer with the reason if invalid."""

    # As a row.

    @abstractmethod
    def to_samples(self, value: Any, order: tuple[int, ...]) -> Any:
        """Return the value of a row by sample (stored_type), where order[position] is the sample that was shown there.

        Raises BadAnswer if the value does not fit a question of so many options.
        """

    def first(self, value: Any) -> Sequence[int] | None:
        """Return the positions in the first place; None if the kind has no best option."""
        return None

    # As stored.

    @abstractmethod
    def utilities(self, stored: Any, k: int) -> list[float]:
        """Return a number for each of k samples: higher is better, equal is a tie."""

    def habit(self, values: Sequence[Any]) -> Any:
        """Return the statistics of one labeler that `target` needs, from all stored values of the labeler."""
        return None

    @abstractmethod
    def target(self, stored: Any, k: int, habit: Any) -> Target:
        """Return the training target of a stored value; an empty Target if there is none."""

    def undecided(self, column: pa.ChunkedArray) -> NDArray[np.bool_]:
        """Return for each stored value of a column whether it prefers no sample; False for null."""
        return np.zeros(len(column), np.bool_)

    # How it is asked for.

    def wording(self, axes: Sequence[str]) -> str:
        """Return the sentence that is added to the instructions; empty if they suffice."""
        return ""

    @abstractmethod
    def from_page(self, form: Mapping[str, Any], count: int, axes: Sequence[str]) -> dict[str, Any]:
        """Return columns of an answer file from the form of the labeling page; raise BadAnswer if it is incomplete.

        The widget is `web/templates/kinds/<name>.html`. `form["choice"]` is a position or absent; `form["given"]` has a
        list of one number (or None) for each position, by the name of the input.
        """

    @abstractmethod
    def to_page(self, answer: Mapping[str, Any], axes: Sequence[str]) -> dict[str, Any]:
        """Return a saved answer in the form that the page sends."""

    @abstractmethod
    def label_studio(self, options: Sequence[Option], axes: Sequence[str]) -> list[str]:
        """Return the tags of a labeling config that ask for this kind, and for a skip."""

    def is_control(self, name: str) -> bool:
        """Return whether a control of this name in Label Studio asks for this kind."""
        return name == self.name

    def reads_label_studio(self, name: str, value: Mapping[str, Any]) -> bool:
        """Return whether a result of Label Studio is of this kind."""
        return self.is_control(name)

    @abstractmethod
    def from_label_studio(self, results: Sequence[Result], count: int) -> dict[str, Any]:
        """Return columns of an answer file from the results of this kind."""

    @abstractmethod
    def argilla(self, names: Sequence[str], axes: Sequence[str]) -> list[dict[str, Any]]:
        """Return the questions of Argilla's settings that ask for this kind, and for a skip."""

    @abstractmethod
    def from_argilla(self, given: Mapping[str, Any], count: int) -> dict[str, Any]:
        """Return columns of an answer file from all responses of one user to a record."""


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def read_json(name: str, value: object) -> Any:
    """Return the JSON value of a text, and any other value unchanged."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise BadAnswer(f"{name} is not JSON: {shown(value)}") from error


def compact(value: object) -> str:
    """Write a value as JSON; equal values give equal texts."""
    return json.dumps(value, separators=(",", ":"))


def option_names(count: int) -> list[str]:
    """Return the names of the options of a question, by their positions as shown."""
    return [f"option_{position}" for position in range(count)]


def position_of(name: object) -> object:
    """Return the position in the name of an option, or the value itself if it is not such a name."""
    digits = str(name).removeprefix("option_")
    return int(digits) if digits != str(name) and digits.isdecimal() and digits.isascii() else name


def numbers_of(form: Mapping[str, Any], name: str, count: int, lowest: int, highest: int) -> list[int | None]:
    """Return the numbers that the page sent for an input, one a position, None for a missing one."""
    given = form.get("given")
    numbers = given.get(name) if isinstance(given, Mapping) else None
    if not isinstance(numbers, list) or len(numbers) != count:
        return [None] * count
    for number in numbers:
        if number is not None and not (type(number) is int and lowest <= number <= highest):
            raise BadAnswer(f"{name} is not a number from {lowest} to {highest}.")
    return numbers
