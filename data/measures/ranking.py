"""All systems on one scale: Bradley-Terry strengths, written as Elo."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ELO_PER_NAT = 400 / math.log(10)


def elo(
    systems: Sequence[str], wins: NDArray[np.float64], anchor: str, added: float | NDArray[np.float64] = 0.5
) -> dict[str, float]:
    """Return each system's Elo from wins [S, S] (row over column; a tie is half of one each way), the anchor at 0.

    Bradley-Terry strengths (1952) at their maximum likelihood by minorisation (Hunter, 2004). Half a win each way, or
    `added` [S, S], is added to every pair that was compared, so that a system that always wins stays finite.
    """
    played = (wins + wins.T) > 0
    won = wins + added * played
    games = won + won.T
    strength = np.ones(len(systems))
    for _ in range(10_000):
        before = strength
        strength = won.sum(1) / (games / (strength[:, None] + strength[None, :])).sum(1)
        strength = strength / np.exp(np.log(strength).mean())
        if np.abs(np.log(strength / before)).max() < 1e-10:
            break
    rating = ELO_PER_NAT * (np.log(strength) - math.log(strength[list(systems).index(anchor)]))
    return dict(zip(systems, rating.tolist(), strict=True))
