"""Calibration of a reward model, and the KL divergence that best of n costs."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

BINS = 10


class Bin(NamedTuple):
    """Options whose predicted shares lie in one range: the mean prediction, the share chosen, and their number."""

    expected: float
    observed: float
    n: int


def calibration(chosen: Sequence[int], scores: Sequence[Sequence[float]]) -> tuple[float, list[Bin]]:
    """Return the expected calibration error of softmax(scores) for every option, and the bins it is computed from.

    The bins have equal widths over 0 to 1, and empty bins are left out. An error of 0 means that of the options with a
    predicted share of 30 %, three in ten were chosen.
    """
    table = np.asarray(scores, dtype=float)
    predicted = np.exp(table - table.max(1, keepdims=True))
    predicted /= predicted.sum(1, keepdims=True)
    hit = (np.arange(table.shape[1]) == np.asarray(chosen)[:, None]).ravel()
    predicted = predicted.ravel()
    place = np.minimum((predicted * BINS).astype(int), BINS - 1)
    bins = [
        Bin(float(predicted[place == b].mean()), float(hit[place == b].mean()), int((place == b).sum()))
        for b in range(BINS)
        if (place == b).any()
    ]
    return sum(abs(bin.expected - bin.observed) * bin.n for bin in bins) / len(predicted), bins


def best_of_kl(n: int) -> float:
    """Return how far the best of n samples lies from their own distribution, in nats: ln n - (n - 1) / n.

    An upper bound that is exact for continuous scores (Stiennon et al., 2020). What is shown are valid samples, and so
    their distribution is the base's where it is valid: from the base itself it is further, by -ln of the valid share.
    """
    return math.log(n) - (n - 1) / n
