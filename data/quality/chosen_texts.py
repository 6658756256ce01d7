"""Length and copying of chosen samples, compared with rejected ones. They show labelers who reward either.

The authors of 2019 found out too late that their labelers preferred summaries with copied sentences, so the model
learned to copy. Agreement does not show this, because the labelers agreed. These are measures for people, not gates.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import islice, pairwise
from typing import Any, NamedTuple

QUESTIONS_READ = 2_000
WORD = re.compile(r"\w+")


class ChosenSample(NamedTuple):
    """The chosen sample of a question."""

    question_id: str
    sample: int


def copy_rate(query: str, response: str) -> float:
    """Return the share of a response's word pairs that are in its query, 0 to 1."""
    of_query = set(pairwise(WORD.findall(query.lower())))
    own = set(pairwise(WORD.findall(response.lower())))
    return len(own & of_query) / len(own) if own else 0.0


def compare_texts(key: Iterable[Mapping[str, Any]], labels: Iterable[ChosenSample]) -> dict[str, float]:
    """Return the mean length in words and the copy rate of the chosen samples, and of the rejected ones."""
    first_rows = islice(key, QUESTIONS_READ)  # a random sample, because the ids are random
    rows = {row["question_id"]: row for row in first_rows}
    sums = {"chosen": [0.0, 0.0, 0.0], "rejected": [0.0, 0.0, 0.0]}
    measured: dict[str, list[tuple[int, float]]] = {}
    for label in labels:
        if label.question_id not in rows:
            continue
        row = rows[label.question_id]
        if label.question_id not in measured:
            texts = [sample["text"] for sample in row["samples"]]
            measured[label.question_id] = [(len(text.split()), copy_rate(row["query"], text)) for text in texts]
        for number, (words, copied) in enumerate(measured[label.question_id]):
            total = sums["chosen" if number == label.sample else "rejected"]
            for place, value in enumerate((1.0, float(words), copied)):
                total[place] += value
    measures = {}
    for name, (count, length, copies) in sums.items():
        if count:
            measures[f"words {name}"] = round(length / count, 3)
            measures[f"copied {name}"] = round(copies / count, 4)
    return measures
