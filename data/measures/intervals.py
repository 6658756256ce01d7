"""The few statistics that decide: proportions with intervals."""

import math
from typing import NamedTuple

Z95 = 1.959964


class Proportion(NamedTuple):
    """A share of n trials with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def proportion(successes: float, n: int) -> Proportion:
    """Wilson's score interval (1927) for a proportion; ties may count as half a success."""
    if n <= 0:
        return Proportion(math.nan, 0.0, 1.0, 0)
    share = successes / n
    centre = (share + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2))
    return Proportion(
        share, max(0.0, centre - half) if successes else 0.0, min(1.0, centre + half) if successes < n else 1.0, n
    )


class Interval(NamedTuple):
    """An estimate with its 95 % interval; n is what it was made of."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"
