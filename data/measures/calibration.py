"""What a reward model is worth: the ceiling of its accuracy, its calibration; what best of n costs in KL."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


def ceiling(agreement: float) -> float:
    """Return what no model's accuracy exceeds, from how often two labelers agree: its square root.

    Two labelers who each give a perfect model's answer with probability p agree in at least p squared.
    """
    return math.sqrt(agreement)


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

    An upper bound that is exact for continuous scores (Stiennon et al., 2020). What is shown are valid samples, and so
    their distribution is the base's where it is valid: from the base itself it is further, by -ln of the valid share.
    """
    return math.log(n) - (n - 1) / n
