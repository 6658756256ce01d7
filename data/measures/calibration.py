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

    The bins have equal widths over 0 to 1, and empty bins are left out. An error of 0 means that, for example, three in
    ten options with a predicted share of 30 % were chosen. A question that lacks an option has a score of -inf for it.
    """
    table = np.asarray(scores, dtype=float)
    predicted = np.exp(table - table.max(1, keepdims=True))
    predicted /= predicted.sum(1, keepdims=True)
    present = table > -np.inf
    hits = (np.arange(table.shape[1]) == np.asarray(chosen)[:, None])[present]
    predicted = predicted[present]
    bin_of = np.minimum((predicted * BINS).astype(int), BINS - 1)
    bins = [
        Bin(float(predicted[bin_of == b].mean()), float(hits[bin_of == b].mean()), int((bin_of == b).sum()))
        for b in range(BINS)
        if (bin_of == b).any()
    ]
    return sum(abs(bin.expected - bin.observed) * bin.n for bin in bins) / len(predicted), bins


def best_of_kl(n: int) -> float:
    """Return the KL divergence of the best of n samples from the distribution of one, in nats: ln n - (n - 1) / n.

    This upper bound is exact for continuous scores (Stiennon et al., 2020). Only valid samples are drawn, so the
    distribution is that of the base given that a sample is valid. The divergence from the base itself is larger by
    -ln of the valid share.
    """
    return math.log(n) - (n - 1) / n
