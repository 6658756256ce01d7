"""What one label teaches the reward model: its choice, its ranking with ties, its ratings, and its correction.

Labels are taken one by one, each with the weight of its labeler, never as a vote. How sure a labeler was is kept, and
not used: filtering training labels by confidence made reward models worse (Stiennon et al. 2020). Ratings are put on
the scale of scores by the mean and deviation of each labeler, since some people never give a seven.
"""

from collections.abc import Sequence

from data.answers.answer import Habits, favourite, habits, target
from data.answers.base import Choice
from data.labels.label_sets import Label
from models.reward.preferences import Comparison


def habits_of(labels: Sequence[Label]) -> Habits:
    """Return how each labeler uses each kind of answer, such as the mean and deviation of their ratings."""
    return habits([(label.labeler_id, label.details) for label in labels])


def target_of(label: Label, query: list[int], responses: list[list[int]], known: Habits) -> Comparison | None:
    """Return what a label says of k responses: the order it gives, or its ratings, or both; None if it is neither."""
    choices, ratings = target(label.best_sample, label.details, label.labeler_id, len(responses), known)
    return Comparison(query, responses, choices, ratings, label.weight) if choices or ratings else None


def has_a_best(row: Comparison) -> bool:
    """Say whether a label prefers anything: only then can a prediction of it be right or wrong."""
    numbers = row.choices[0].shares if row.choices else row.ratings
    return max(numbers) > min(numbers)


def correction_wins(label: Label, query: list[int], responses: list[list[int]], better: list[int]) -> Comparison | None:
    """Return the preference of a correction, as tokens, to the sample it corrects.

    It takes the place of another sample, which nothing is said about, so that all comparisons have k responses.
    """
    old = favourite(label.best_sample, label.details, len(responses))
    if old is None or not better or better == responses[old]:
        return None
    new = (old + 1) % len(responses)
    beside = [better if n == new else response for n, response in enumerate(responses)]
    return Comparison(query, beside, (Choice((new, old), (1.0, 0.0)),), weight=label.weight)
