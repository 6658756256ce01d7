"""All systems on one scale: Bradley-Terry strengths, written as Elo."""

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.measures.win_rate import codes, spread

ELO_PER_NAT = 400 / math.log(10)
FARTHEST = 20.0  # largest distance of an interval's bound from the estimate, in nats; one or two queries reach it
Floats = NDArray[np.float64]


class Rating(NamedTuple):
    """Elo of one system, with its 95 % interval."""

    elo: float
    low: float
    high: float


def elo_ratings(
    systems: Sequence[str],
    left: Sequence[str],
    right: Sequence[str],
    won: Sequence[float],
    queries: Sequence[Hashable],
    labelers: Sequence[Hashable],
    anchor: str,
) -> dict[str, Rating]:
    """Return each system's Elo from answers, with the anchor at 0.

    `won` is 1 if the left system won an answer, and 0.5 for a tie. The strengths are those of Bradley and Terry (1952)
    at their maximum likelihood. Half a win each way is added to every pair that was compared, so the strength of a
    system that always wins stays finite.

    The 95 % interval contains the strengths that a likelihood-ratio test does not reject. The likelihood takes answers
    as independent, so the ratio is divided by an inflation factor: the variance of the strength by `spread`, over its
    variance by the likelihood. The factor is at least 1, so a system that always wins still gets a wide interval.
    """
    index = {system: number for number, system in enumerate(systems)}
    one = [index[system] for system in left]
    other = [index[system] for system in right]
    wins, fixed = _wins(len(systems), one, other, won), index[anchor]
    best = _fitted(wins, {fixed: 0.0}, np.zeros(len(systems)))
    covariance = _covariance(wins, best, [fixed])
    residual = np.asarray(won) - 1 / (1 + np.exp(best[other] - best[one]))
    influence = (covariance[one] - covariance[other]) * residual[:, None]  # [N, S]
    by_query, by_labeler = codes(queries), codes(labelers)
    ratings = {anchor: Rating(0.0, 0.0, 0.0)}
    for number in (number for number in range(len(systems)) if number != fixed):
        own = float(covariance[number, number])
        if own == 0:  # the system was never compared
            ratings[systems[number]] = Rating(0.0, -ELO_PER_NAT * FARTHEST, ELO_PER_NAT * FARTHEST)
            continue
        variance, z = spread(influence[:, number], by_query, by_labeler)
        allowed = z**2 * max(1.0, variance / own) / 2  # nats below the best
        ends = [_end(wins, best, fixed, number, side * math.sqrt(own), covariance, allowed) for side in (-1, 1)]
        ratings[systems[number]] = Rating(*(ELO_PER_NAT * nats for nats in (float(best[number]), *ends)))
    return {system: ratings[system] for system in systems}


def _end(wins: Floats, best: Floats, fixed: int, number: int, step: float, covariance: Floats, allowed: float) -> float:
    """Return one bound of a strength: there the profile likelihood is `allowed` nats below the maximum."""
    along = covariance[:, number] / covariance[number, number]  # change of the other strengths with this one

    def below(shift: float) -> float:
        held = {fixed: 0.0, number: float(best[number]) + shift}
        return _likelihood(wins, best) - _likelihood(wins, _fitted(wins, held, best + shift * along)) - allowed

    from scipy.optimize import brentq  # takes long to load, and few commands rank anything

    far = step
    while below(far) < 0:
        if abs(far) > FARTHEST:
            return float(best[number]) + math.copysign(FARTHEST, far)
        far *= 2
    return float(best[number]) + float(brentq(below, 0.0, far, xtol=1e-4))


def _fitted(wins: Floats, held: dict[int, float], start: Floats) -> Floats:
    """Return the likeliest strengths [S] in nats with some held fixed, by Newton's method in steps of at most a nat."""
    strengths = start.copy()
    strengths[[*held]] = [*held.values()]
    for _ in range(200):
        chance = 1 / (1 + np.exp(strengths[None, :] - strengths[:, None]))
        slope = (wins - (wins + wins.T) * chance).sum(1)
        step = np.clip(_covariance(wins, strengths, [*held]) @ slope, -1, 1)
        strengths = strengths + step
        if np.abs(step).max() < 1e-9:
            break
    return strengths


def _covariance(wins: Floats, strengths: Floats, held: Sequence[int]) -> Floats:
    """Return the inverse [S, S] of the information on the strengths; rows and columns of held strengths are 0."""
    chance = 1 / (1 + np.exp(strengths[None, :] - strengths[:, None]))
    information = (wins + wins.T) * chance * (1 - chance)
    free = np.array([number for number in range(len(wins)) if number not in held], dtype=int)
    covariance = np.zeros_like(wins)
    covariance[np.ix_(free, free)] = np.linalg.pinv((np.diag(information.sum(1)) - information)[np.ix_(free, free)])
    return covariance


def _likelihood(wins: Floats, strengths: Floats) -> float:
    return float(-(wins * np.logaddexp(0, strengths[None, :] - strengths[:, None])).sum())


def _wins(systems: int, one: Sequence[int], other: Sequence[int], won: Sequence[float]) -> Floats:
    """Return the wins [S, S] of row over column, with half a win each way added for every compared pair."""
    wins = np.zeros((systems, systems))
    np.add.at(wins, (one, other), won)
    np.add.at(wins, (other, one), 1 - np.asarray(won, dtype=float))
    return wins + 0.5 * ((wins + wins.T) > 0)
