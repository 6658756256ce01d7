"""What a reward model is worth: accuracy between chance and noise ceiling, calibration; what best of n costs in KL."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data.statistics import Proportion, proportion


class Accuracy(NamedTuple):
    """How often the reward model chooses as a labeler did, between what guessing and what another labeler would."""

    measured: Proportion
    chance: float
    ceiling: float

    @property
    def of_reachable(self) -> float:
        """The share of the way from chance to ceiling."""
        return (self.measured.value - self.chance) / (self.ceiling - self.chance)


def accuracy(chosen: Sequence[int], scores: Sequence[Sequence[float]], agreement: float) -> Accuracy:
    """Compare labels (index of the best) with scores [N][k]; `agreement` of two labelers bounds what is reachable.

    The ceiling is how often a perfect model agrees with one label: sqrt(agreement) at most, since two labelers who are
    each right with probability p agree in at least p squared.
    """
    right = sum(max(range(len(row)), key=row.__getitem__) == best for best, row in zip(chosen, scores, strict=True))
    return Accuracy(proportion(right, len(chosen)), 1 / len(scores[0]), math.sqrt(agreement))


class Bin(NamedTuple):
    expected: float
    observed: float
    n: int


def calibration(chosen: Sequence[int], scores: Sequence[Sequence[float]], bins: int = 10) -> tuple[float, list[Bin]]:
    """Return the expected calibration error of softmax(scores) for every option, and the bins it was read from.

    Equal widths over 0 to 1; empty bins are left out. 0 means: of options given 30 %, three in ten were chosen.
    """
    table = np.asarray(scores, dtype=float)
    said = np.exp(table - table.max(1, keepdims=True))
    said /= said.sum(1, keepdims=True)
    hit = (np.arange(table.shape[1]) == np.asarray(chosen)[:, None]).ravel()
    said = said.ravel()
    place = np.minimum((said * bins).astype(int), bins - 1)
    found = [
        Bin(float(said[place == b].mean()), float(hit[place == b].mean()), int((place == b).sum()))
        for b in range(bins)
        if (place == b).any()
    ]
    return sum(abs(each.expected - each.observed) * each.n for each in found) / len(said), found


def best_of_kl(n: int) -> float:
    """Return how far the best of n samples lies from their own distribution, in nats: ln n - (n - 1) / n.

    An upper bound that is exact for continuous scores (Stiennon et al., 2020).
    """
    return math.log(n) - (n - 1) / n
