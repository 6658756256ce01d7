"""A ranking: groups of options, best first; options of one group tie."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.answers.base import (
    SKIP_CONTROL,
    SKIP_QUESTION,
    BadAnswer,
    Choice,
    Kind,
    Option,
    Result,
    Target,
    compact,
    is_text,
    numbers_of,
    position_of,
    read_json,
)
from data.escape import shown

PLACE = re.compile(r"place_([0-9]+)")


class Ranking(Kind):
    """As a row, JSON such as [[2],[0,3]]; in a label, lists of samples, each group sorted."""

    name = "ranking"
    precedence = 1
    stored_type = pa.list_(pa.list_(pa.int8()))
    parquet = "lists or text"
    meaning = "groups of options, best first; tied options share a group, and missing options were not ranked"
    delivered = "JSON such as `[[2],[0,3]]`, or lists in Parquet: positions as shown"
    ties = True

    def takes(self, kind: pa.DataType) -> bool:
        groups = kind.value_type if pa.types.is_list(kind) or pa.types.is_large_list(kind) else pa.null()
        return is_text(kind) or bool(pa.types.is_list(groups) and pa.types.is_integer(groups.value_type))

    def read(self, value: object) -> str:
        groups = read_json("ranking", value)
        if not isinstance(groups, list) or not all(isinstance(group, list) and group for group in groups):
            raise BadAnswer(f"ranking is not a list of groups such as [[2],[0,3]]: {shown(value)}")
        options = [option for group in groups for option in group]
        if not all(isinstance(option, int) and not isinstance(option, bool) and option >= 0 for option in options):
            raise BadAnswer(f"ranking has something other than positions from 0: {shown(value)}")
        if len(set(options)) < len(options):
            raise BadAnswer(f"ranking names an option twice: {shown(value)}")
        if len(options) < 2:
            raise BadAnswer(f"ranking compares nothing: {shown(value)}")
        return compact([sorted(group) for group in groups])

    def to_samples(self, value: str, order: tuple[int, ...]) -> list[list[int]]:
        groups = read_json("ranking", value)
        if max(map(max, groups)) >= len(order):
            raise BadAnswer(f"ranking names an option beyond {len(order) - 1}: {shown(value)}")
        return [sorted(order[position] for position in group) for group in groups]

    def first(self, value: str) -> Sequence[int]:
        group: list[int] = read_json("ranking", value)[0]
        return group

    def utilities(self, stored: Sequence[Sequence[int]], k: int) -> list[float]:
        places = {sample: place for place, group in enumerate(stored) for sample in group}
        return [-float(places.get(sample, len(stored))) for sample in range(k)]

    def target(self, stored: Sequence[Sequence[int]], k: int, habit: None) -> Target:
        if len(stored[0]) == k:  # a tie over all options is an equal share for each of them
            return Target((Choice(tuple(range(k)), (1 / k,) * k),))
        return Target(choices(stored, k))

    def undecided(self, column: pa.ChunkedArray) -> NDArray[np.bool_]:
        one_group: NDArray[np.bool_] = pc.equal(pc.list_value_length(column), 1).fill_null(False).to_numpy()
        return one_group

    def wording(self, axes: Sequence[str]) -> str:
        return "Rank the options, best first; options that are equally good share a place."

    def from_page(self, form: Mapping[str, Any], count: int, axes: Sequence[str]) -> dict[str, Any]:
        places = numbers_of(form, "place", count, 1, count)
        if None in places:
            raise BadAnswer("Give every text a place first, or skip. Texts that are equally good share a place.")
        groups = [[n for n in range(count) if places[n] == place] for place in range(1, count + 1)]
        return {"ranking": compact([group for group in groups if group])}

    def to_page(self, answer: Mapping[str, Any], axes: Sequence[str]) -> dict[str, Any]:
        groups = read_json("ranking", answer.get("ranking"))
        if not groups:
            return {}
        places = {option: place for place, group in enumerate(groups, 1) for option in group}
        return {"given": {"place": [places.get(option) for option in range(max(places) + 1)]}}

    def label_studio(self, options: Sequence[Option], axes: Sequence[str]) -> list[str]:
        places = range(1, len(options) + 1)
        buckets = "".join(f'<Bucket name="place_{place}" title="Place {place}"/>' for place in places)
        return [f'<Ranker name="ranking" toName="samples">{buckets}</Ranker>', SKIP_CONTROL]

    def reads_label_studio(self, name: str, value: Mapping[str, Any]) -> bool:
        return value.get("ranker") is not None

    def from_label_studio(self, results: Sequence[Result], count: int) -> dict[str, Any]:
        name, value = results[-1]
        return {"ranking": _buckets(name, value["ranker"])}

    def argilla(self, names: Sequence[str], axes: Sequence[str]) -> list[dict[str, Any]]:
        return [{"name": "ranking", "type": "ranking", "values": [*names], "required": False}, SKIP_QUESTION]

    def from_argilla(self, given: Mapping[str, Any], count: int) -> dict[str, Any]:
        return {"ranking": _ranks(given["ranking"])} if "ranking" in given else {}


def choices(groups: Sequence[Sequence[int]], k: int) -> tuple[Choice, ...]:
    """Return groups as a chain of choices: the best of all, then the best of the rest, and so on (Plackett-Luce).

    Options in no group rank below all others. A full ranking of k has k - 1 choices, because the last one is forced.
    """
    left, chain = list(range(k)), []
    for group in groups:
        if len(left) > len(group):
            chain.append(Choice(tuple(left), tuple((option in group) / len(group) for option in left)))
        left = [option for option in left if option not in group]
    return tuple(chain)


def tie(count: int) -> list[list[int]]:
    """Return the ranking in which all options are equally good."""
    return [list(range(count))]


def _buckets(name: str, ranker: Any) -> Any:
    """Return groups of positions, best first; an unreadable value unchanged, so that its row is refused with it.

    A dict has one list by the name of its tag, or the options of each place; older versions wrote a bare list.
    """
    if isinstance(ranker, Mapping):
        lists = {key: ids for key, ids in ranker.items() if key != "_" and ids}
        places = {int(match[1]): ids for key, ids in lists.items() if (match := PLACE.fullmatch(key))}
        if places and len(places) == len(lists):
            return [[position_of(option) for option in places[place]] for place in sorted(places)]
        if len(lists) != 1 or not set(lists) <= {name, "rank"}:
            return ranker
        (ranker,) = lists.values()
    return [[position_of(option)] for option in ranker]


def _ranks(value: Any) -> Any:
    """Return groups of positions, best first, from names in order, or from names with ranks, which may be equal."""
    if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
        return [[position_of(name)] for name in value] if isinstance(value, list) else value
    ranks = sorted({entry["rank"] for entry in value})
    return [[position_of(entry["value"]) for entry in value if entry["rank"] == rank] for rank in ranks]


KIND = Ranking()
