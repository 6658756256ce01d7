"""The best option: one of k is chosen, as in the paper."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from data.answers.base import BadAnswer, Kind, Option, Result, Target, position_of
from data.answers.ranking import choices, tie
from data.escape import shown

NAMED_OPTION = re.compile(r"(?i)[a-j]|(option|opt|sample|response)[ _-]?[a-j0-9]")
INTEGER = re.compile(r"-?[0-9]{1,9}(\.0+)?")


class Best(Kind):
    """A position; in a label, the sample at this position (`best_sample`) and the position (`best_shown`)."""

    name = "best"
    precedence = 0
    row_type = pa.int32()
    stored_type = pa.int8()
    parquet = "an integer, the 0-based option shown"
    meaning = "position of the best option as shown, counted from 0"
    ties = True
    keys = "a digit chooses, and answers if pressed once more;"

    def takes(self, kind: pa.DataType) -> bool:
        return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))

    def read(self, value: object) -> int:
        """Read an integer, or a float without a fraction, which pandas writes in columns with gaps."""
        if isinstance(value, str) and INTEGER.fullmatch(value):
            return int(float(value))
        if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) and math.isfinite(value):
            whole = int(value)
            if whole == value and abs(whole) < 10**9:
                return whole
        hint = "; write the position shown, from 0" if isinstance(value, str) and NAMED_OPTION.fullmatch(value) else ""
        raise BadAnswer(f"best is not an integer that could be an option: {shown(value)}{hint}")

    def to_samples(self, value: int, order: tuple[int, ...]) -> int:
        """Ingest does this by columns (data/ingest/match.py), because nearly all answers are of this kind."""
        if not 0 <= value < len(order):
            raise BadAnswer(f"best is {value}; the question has options 0 to {len(order) - 1}")
        return order[value]

    def first(self, value: int) -> Sequence[int]:
        return (value,)

    def utilities(self, stored: int, k: int) -> list[float]:
        return [float(sample == stored) for sample in range(k)]

    def target(self, stored: int, k: int, habit: None) -> Target:
        return Target(choices([[stored]], k))

    def from_page(self, form: Mapping[str, Any], count: int, axes: Sequence[str]) -> dict[str, Any]:
        choice = form.get("choice")
        if type(choice) is not int or not 0 <= choice < count:
            raise BadAnswer("Choose one of the texts first, or skip.")
        return {"best": choice}

    def to_page(self, answer: Mapping[str, Any], axes: Sequence[str]) -> dict[str, Any]:
        return {"choice": answer["best"]} if answer.get("best") is not None else {}

    def label_studio(self, options: Sequence[Option], axes: Sequence[str]) -> list[str]:
        offered = [*options, Option("skip", "Skip")]
        tags = "".join(f'<Choice value="{option.title}" alias="{option.name}"/>' for option in offered)
        return [f'<Choices name="best" toName="query" choice="single" required="true">{tags}</Choices>']

    def reads_label_studio(self, name: str, value: Mapping[str, Any]) -> bool:
        """Choices of any name, and a side of a pair, are answers too, because a user's own project may have them."""
        return bool((value.get("choices") and name != "flags") or value.get("selected"))

    def from_label_studio(self, results: Sequence[Result], count: int) -> dict[str, Any]:
        columns: dict[str, Any] = {}
        for _, value in results:
            if chosen := value.get("choices"):
                columns |= _chosen(chosen, count)
            else:
                side = value["selected"]
                columns["best"] = {"left": 0, "right": 1}.get(side, side) if count == 2 else side
        return columns

    def argilla(self, names: Sequence[str], axes: Sequence[str]) -> list[dict[str, Any]]:
        return [{"name": "best", "type": "label", "labels": [*names, "skip"], "required": True}]

    def from_argilla(self, given: Mapping[str, Any], count: int) -> dict[str, Any]:
        return {"best": position_of(given["best"])} if "best" in given else {}


def _chosen(chosen: Any, count: int) -> dict[str, Any]:
    """Read a choice of Label Studio: an option, `skip`, or `tie` for all of them."""
    if not isinstance(chosen, list):
        raise TypeError("choices are a list")
    if chosen[0] == "skip":
        return {"skip": True}
    if chosen[0] == "tie":
        return {"ranking": tie(count)}
    return {"best": position_of(chosen[0])} if len(chosen) == 1 else {"best": json.dumps(chosen)}


KIND = Best()
