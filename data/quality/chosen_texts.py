"""What the chosen samples look like beside those that were not: labelers who reward length or copying show here.

The 2019 authors found it too late: their labelers preferred summaries that copied sentences, so the model learned to
copy. Agreement cannot see that, since everybody agreed. These are measures for people to read, not gates.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple

QUESTIONS_READ = 2_000
WORD = re.compile(r"\w+")


class ChosenSample(NamedTuple):
    """Which sample was chosen of which question."""

    question_id: str
    sample: int


def copy_rate(query: str, response: str) -> float:
    """Return the share of a response's word pairs that occur in its query, 0 to 1."""
    words = [WORD.findall(text.lower()) for text in (query, response)]
    theirs, own = (set(zip(part, part[1:], strict=False)) for part in words)
    return len(own & theirs) / len(own) if own else 0.0


def compare_texts(key: Iterable[Mapping[str, Any]], labels: Iterable[ChosenSample]) -> dict[str, float]:
    """Return the mean length in words and the copy rate of the chosen samples, and of the rejected ones."""
    some = islice(key, QUESTIONS_READ)  # in the order of their random ids, so a sample
    asked = {row["question_id"]: row for row in some}
    sums = {"chosen": [0.0, 0.0, 0.0], "rejected": [0.0, 0.0, 0.0]}
    looked_at: dict[str, list[tuple[int, float]]] = {}
    for label in labels:
        if label.question_id not in asked:
            continue
        row = asked[label.question_id]
        if label.question_id not in looked_at:
            texts = [sample["text"] for sample in row["samples"]]
            looked_at[label.question_id] = [(len(text.split()), copy_rate(row["query"], text)) for text in texts]
        for number, (words, copied) in enumerate(looked_at[label.question_id]):
            total = sums["chosen" if number == label.sample else "rejected"]
            for place, value in enumerate((1.0, float(words), copied)):
                total[place] += value
    measures = {}
    for name, (count, length, copies) in sums.items():
        if count:
            measures[f"words {name}"] = round(length / count, 3)
            measures[f"copied {name}"] = round(copies / count, 4)
    return measures
