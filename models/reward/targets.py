"""Training targets of the reward model from one label: its choice, ranking with ties, ratings and correction.

Each label is one example with the weight of its labeler; labels are not combined to votes. The labeler's confidence is
stored and not used, because filtering training labels by it made reward models worse (Stiennon et al. 2020). Ratings
are standardised by the mean and deviation of each labeler, because people use the scale differently.
"""

from collections.abc import Sequence

from data.answers.answer import Habits, favourite, habits, target
from data.answers.base import Choice
from data.labels.label_sets import Label
from models.reward.preferences import Comparison


def habits_of(labels: Sequence[Label]) -> Habits:
    """Return statistics of each labeler's answers, such as the mean and deviation of their ratings."""
    return habits([(label.labeler_id, label.details) for label in labels])


def target_of(label: Label, query: list[int], responses: list[list[int]], by_labeler: Habits) -> Comparison | None:
    """Return the comparison of a label: its choices, its ratings, or both; None if it has neither."""
    choices, ratings = target(label.best_sample, label.details, label.labeler_id, len(responses), by_labeler)
    return Comparison(query, responses, choices, ratings, label.weight) if choices or ratings else None


def has_a_best(row: Comparison) -> bool:
    """Return whether a label prefers a response. Only then can a prediction of it be right or wrong."""
    numbers = row.choices[0].shares if row.choices else row.ratings
    return max(numbers) > min(numbers)


def correction_wins(label: Label, query: list[int], responses: list[list[int]], better: list[int]) -> Comparison | None:
    """Return the comparison that prefers a correction, `better`, to the sample that it corrects.

    The correction replaces another sample, which has no part in the choice, so that all comparisons have k responses.
    None if the label has no favourite, or if the correction equals it.
    """
    old = favourite(label.best_sample, label.details, len(responses))
    if old is None or not better or better == responses[old]:
        return None
    new = (old + 1) % len(responses)
    options = [better if n == new else response for n, response in enumerate(responses)]
    return Comparison(query, options, (Choice((new, old), (1.0, 0.0)),), weight=label.weight)
