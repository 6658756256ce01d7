"""Estimates with 95 % intervals: the type that all measures return, and Wilson's interval of a proportion."""

import math
from typing import NamedTuple

from typing_extensions import TypedDict

Z95 = 1.959964


class StoredEstimate(TypedDict):
    """An estimate as JSON."""

    value: float
    low: float
    high: float
    n: int


class Estimate(NamedTuple):
    """A measured value with its 95 % interval. `n` is the number of trials, answers or items it was measured on."""

    value: float
    low: float
    high: float
    n: int

    def __format__(self, spec: str) -> str:
        """Write value and interval, each with the given format: `f"{estimate:.2f}"` is "0.44 [0.40, 0.48]"."""
        spec = spec or ".3f"
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"

    def document(self) -> StoredEstimate:
        """Return the estimate as it is stored."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}

    def __str__(self) -> str:
        return format(self)


def proportion(successes: float, n: int) -> Estimate:
    """Return a proportion with Wilson's interval; a tie may count as half a success."""
    if n <= 0:
        return Estimate(math.nan, 0.0, 1.0, 0)
    share = successes / n
    low, high = wilson(share, n, Z95)
    return Estimate(share, max(0.0, low) if successes else 0.0, min(1.0, high) if successes < n else 1.0, n)


def wilson(share: float, n: float, z: float) -> tuple[float, float]:
    """Return the bounds of Wilson's score interval (1927) of a share of n trials, at quantile z."""
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return centre - half, centre + half
