"""Labels as comparisons of k responses, and the loss of scores on them.

A label is a chain of choices (Plackett-Luce): the best of all, then the best of the rest, as far as the labeler ranked
them. Best-of-k is a chain of one choice, and a pair is best-of-2. A tie divides one choice among several responses.
Ratings are numbers and enter the loss as such.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from data.answers.base import Choice
from data.answers.ranking import choices


class Comparison(NamedTuple):
    """One label: a query, k truncated responses, and the choices among them or their ratings."""

    query: list[int]
    responses: list[list[int]]
    choices: tuple[Choice, ...] = ()
    ratings: tuple[float, ...] = ()
    weight: float = 1.0


def best_of(query: list[int], responses: list[list[int]], best: int, weight: float = 1.0) -> Comparison:
    """Return the comparison of a label with one best response (paper, section 2.1)."""
    return ranked(query, responses, [[best]], weight)


def ranked(
    query: list[int], responses: list[list[int]], groups: Sequence[Sequence[int]], weight: float = 1.0
) -> Comparison:
    """Return the comparison of a ranking: groups of responses, best first. Responses in a group tie.

    Responses in no group rank below all others. A full ranking of k has k - 1 choices, because the last one is forced.
    """
    named = [option for group in groups for option in group]
    if len(set(named)) < len(named) or not set(named) <= set(range(len(responses))):
        raise ValueError(f"a ranking names each of {len(responses)} options at most once, not {groups}")
    return Comparison(query, responses, choices(groups, len(responses)), weight=weight)


class Targets(NamedTuple):
    """Labels as tensors: B comparisons of k responses with at most S choices; fewer than k if rounds differ in it."""

    shares: Tensor  # [B, S, k]; a missing choice is all zeros and costs nothing
    among: Tensor  # [B, S, k], True where an option could be chosen
    ratings: Tensor  # [B, k], NaN where there are none
    weights: Tensor  # [B]
    present: Tensor  # [B, k], True where a comparison has a response

    def to(self, device: torch.device) -> "Targets":
        return Targets(*(tensor.to(device) for tensor in self))


def targets(rows: Sequence[Comparison]) -> Targets:
    """Stack the labels of comparisons; k is the largest number of responses."""
    k = most_responses(rows)
    present = torch.tensor([[n < len(row.responses) for n in range(k)] for row in rows])
    stages = max(1, max(len(row.choices) for row in rows))
    shares = torch.zeros(len(rows), stages, k)
    among = present[:, None].repeat(1, stages, 1)
    ratings = torch.full((len(rows), k), torch.nan)
    for b, row in enumerate(rows):
        for s, choice in enumerate(row.choices):
            among[b, s] = False
            among[b, s, list(choice.among)] = True
            shares[b, s, list(choice.among)] = torch.tensor(choice.shares)
        if row.ratings:
            ratings[b, : len(row.ratings)] = torch.tensor(row.ratings)
    return Targets(shares, among, ratings, torch.tensor([row.weight for row in rows]), present)


def most_responses(rows: Sequence[Comparison]) -> int:
    """Return the largest number of responses of a comparison."""
    return max(len(row.responses) for row in rows)


def widest(rows: Sequence[Comparison]) -> int:
    """Return the largest number of tokens of a comparison, without padding."""
    return max(len(row.query) + sum(map(len, row.responses)) for row in rows)


def preference_loss(scores: Tensor, label: Targets) -> Tensor:
    """Return the loss [B] of scores [B, k], weighted: cross-entropy of every choice, mean squared error of ratings."""
    rows = scores[:, None, :].masked_fill(~label.among, -torch.inf).log_softmax(-1)
    chosen = -(label.shares * rows.masked_fill(~label.among, 0.0)).sum((1, 2))
    rated = ~label.ratings.isnan()
    error = (scores - label.ratings.masked_fill(~rated, 0.0)).masked_fill(~rated, 0.0)
    return label.weights * (chosen + (error**2).sum(-1) / label.present.sum(-1))


def agreement(scores: Tensor, label: Targets) -> Tensor:
    """Return for each comparison [B] whether the response with the highest score is one that the label puts first."""
    highest = scores.masked_fill(~label.present, -torch.inf).argmax(-1, keepdim=True)
    return best_liked(label).gather(-1, highest).squeeze(-1)


def best_liked(label: Targets) -> Tensor:
    """Return whether a label puts each response [B, k] first, alone or in a tie."""
    chosen = label.shares[:, 0]
    preference = torch.where(chosen.sum(-1, keepdim=True) > 0, chosen, label.ratings)
    preference = preference.masked_fill(~label.present, -torch.inf)
    return preference == preference.max(-1, keepdim=True).values
