"""All answers to a batch as parallel arrays: what the diagnosis looks at."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
UNKNOWN = -1


@dataclass(frozen=True)
class Answers:
    """One entry an answer, in the order in which they were delivered; UNKNOWN where a number is not known."""

    k: int
    items: Ints  # [N], equal for copies of one question
    labelers: Ints  # [N], index into names
    samples: Ints  # [N], which sample was chosen
    slots: Ints  # [N], at which position it was shown
    gold: Ints  # [N], the sample known to be best
    gold_slots: Ints  # [N], where that one was shown
    predicted: Ints  # [N], which sample the last reward model likes best
    predicted_slots: Ints  # [N]
    seconds: NDArray[np.float64]  # [N], nan where not known
    words: Ints  # [N], in the query and all options
    names: list[str]

    def take(self, chosen: NDArray[Any]) -> "Answers":
        """Return some of the answers, by mask or by index."""
        columns = [field.name for field in fields(self) if field.name not in ("k", "names")]
        return replace(self, **{name: getattr(self, name)[chosen] for name in columns})

    def __len__(self) -> int:
        return len(self.items)


class Row(NamedTuple):
    """One label as the log of labels has it."""

    question_id: str
    labeler_id: str
    sample: int
    slot: int
    seconds: float | None


def collect(key: Iterable[Mapping[str, Any]], labels: Iterable[Row], predicted: Mapping[str, int]) -> Answers:
    """Join labels with the key of their batch, and with what the last reward model says of each question."""
    items: dict[str, int] = {}
    asked: dict[str, tuple[int, ...]] = {}
    k = 0
    for row in key:
        shown, liked = row["shown"], predicted.get(row["question_id"], UNKNOWN)
        gold = UNKNOWN if row["gold"] is None else row["gold"]
        places = [UNKNOWN if sample == UNKNOWN else shown.index(sample) for sample in (gold, liked)]
        words = row["query"].count(" ") + sum(sample["text"].count(" ") + 1 for sample in row["samples"]) + 1
        item = items.setdefault(row["item"], len(items))
        asked[row["question_id"]] = (item, gold, places[0], liked, places[1], words)
        k = len(shown)
    names: dict[str, int] = {}
    columns: list[tuple[float, ...]] = []
    for label in labels:
        item, *known, words = asked[label.question_id]
        who = names.setdefault(label.labeler_id, len(names))
        seconds = np.nan if label.seconds is None else label.seconds
        columns.append((item, who, label.sample, label.slot, *known, seconds, words))
    table = np.array(columns, dtype=float).reshape(-1, 10)
    item, labeler, sample, slot, golds, gold_slots, likes, liked_slots, _, lengths = (
        np.nan_to_num(table).astype(np.int64).T
    )
    return Answers(
        k, item, labeler, sample, slot, golds, gold_slots, likes, liked_slots, table[:, 8], lengths, list(names)
    )
