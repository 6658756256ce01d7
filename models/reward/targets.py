"""What one label teaches the reward model: its choice, its ranking with ties, its ratings, and its correction.

Labels are taken one by one, each with the weight of its labeler, never as a vote. How sure a labeler was is kept, and
not used: filtering training labels by confidence made reward models worse (Stiennon et al. 2020). Ratings are put on
the scale of scores by the mean and deviation of each labeler, since some people never give a seven.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from data.labels.label_sets import Label
from data.labels.table import overall
from models.reward.preferences import Choice, Comparison, ranked, rated


class Scale(NamedTuple):
    """How one labeler rates."""

    mean: float
    std: float


def scales(labels: Sequence[Label]) -> dict[str, Scale]:
    """Return how each labeler rates; who gives everything the same number has no deviation, and teaches nothing."""
    given: dict[str, list[float]] = defaultdict(list)
    for label in labels:
        if label.ratings is not None:
            given[label.labeler_id] += overall(label.ratings)
    return {name: Scale(float(np.mean(numbers)), float(np.std(numbers))) for name, numbers in given.items()}


def target_of(
    label: Label, query: list[int], responses: list[list[int]], scale: Mapping[str, Scale]
) -> Comparison | None:
    """Return what a label says of k responses: the order it gives, or its ratings, or both; None where it is neither.

    A tie over all options is an equal share for each of them.
    """
    k, weight = len(responses), label.weight
    choices: tuple[Choice, ...] = ()
    if label.ranking is not None:
        choices = ranked(query, responses, label.ranking).choices
        if len(label.ranking[0]) == k:
            choices = (Choice(tuple(range(k)), (1 / k,) * k),)
    elif label.best_sample is not None:
        choices = ranked(query, responses, [[label.best_sample]]).choices
    ratings: tuple[float, ...] = ()
    if label.ratings is not None and (own := scale[label.labeler_id]).std > 0:
        numbers = [(number - own.mean) / own.std for number in overall(label.ratings)]
        ratings = rated(query, responses, numbers).ratings
    return Comparison(query, responses, choices, ratings, weight) if choices or ratings else None


def has_a_best(row: Comparison) -> bool:
    """Say whether a label prefers anything: only then can a prediction of it be right or wrong."""
    numbers = row.choices[0].shares if row.choices else row.ratings
    return max(numbers) > min(numbers)


def corrected(label: Label) -> int | None:
    """Return the sample that a correction corrects: the one that the label likes best; None where there is none."""
    if label.best_sample is not None:
        return label.best_sample
    if label.ranking is not None:
        return label.ranking[0][0]
    return None if label.ratings is None else int(np.argmax(overall(label.ratings)))


def correction_wins(label: Label, query: list[int], responses: list[list[int]], better: list[int]) -> Comparison | None:
    """Return the preference of a correction, as tokens, to the sample it corrects.

    It takes the place of another sample, which nothing is said about, so that all comparisons have k responses.
    """
    old = corrected(label)
    if old is None or not better or better == responses[old]:
        return None
    new = (old + 1) % len(responses)
    beside = [better if n == new else response for n, response in enumerate(responses)]
    return Comparison(query, beside, (Choice((new, old), (1.0, 0.0)),), weight=label.weight)
