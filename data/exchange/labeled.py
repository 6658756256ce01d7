"""The labels of a set for the formats of trainers."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from data.answers import DETAILED

# All formats of trainers lose these parts of a label.
LOST_BY_ALL = frozenset({"labeler", "weight", "time", "shown order", *(kind.name for kind in DETAILED)})


class Labeled(NamedTuple):
    """The labels of a set with a best sample, each with the row of its question in the key."""

    rows: list[tuple[dict[str, Any], int]]  # key row, best sample

    def pairs(self) -> Iterator[tuple[str, str, str]]:
        """Yield query, chosen and rejected text, k - 1 pairs a label."""
        for row, best in self.rows:
            texts = [sample["text"] for sample in row["samples"]]
            yield from ((row["query"], texts[best], text) for n, text in enumerate(texts) if n != best)
