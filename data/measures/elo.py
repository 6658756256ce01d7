"""All systems on one scale: Bradley-Terry strengths, written as Elo."""

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.measures.win_rate import codes, spread

ELO_PER_NAT = 400 / math.log(10)
FARTHEST = 20.0  # nats that an interval goes to one side: of one or two queries nothing is known
Floats = NDArray[np.float64]


class Rating(NamedTuple):
    """A system on the scale of all, with its 95 % interval."""

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
    """Return each system's Elo from answers (`won` by the left one; a tie is half of one each way), the anchor at 0.

    Bradley-Terry strengths (1952) at their maximum likelihood. Half a win each way is added to every pair that was
    compared, so that a system that always wins stays finite. The 95 % interval holds the strengths that a test by
    likelihood ratio does not refuse. The likelihood counts answers as independent; by how much more a strength varies,
    the ratio is divided: its variance by `spread`, from how far each answer moves it, over the likelihood's own. Never
    by less than 1: so who always wins is not certain to.
    """
    place = {system: number for number, system in enumerate(systems)}
    one, other = ([place[each] for each in side] for side in (left, right))
    wins, fixed = _wins(len(systems), one, other, won), place[anchor]
    best = _fitted(wins, {fixed: 0.0}, np.zeros(len(systems)))
    covariance = _covariance(wins, best, [fixed])
    residual = np.asarray(won) - 1 / (1 + np.exp(best[other] - best[one]))
    influence = (covariance[one] - covariance[other]) * residual[:, None]  # [N, S]
    by_query, by_labeler = codes(queries), codes(labelers)
    found = {anchor: Rating(0.0, 0.0, 0.0)}
    for number in (number for number in range(len(systems)) if number != fixed):
        variance, z = spread(influence[:, number], by_query, by_labeler)
        own = float(covariance[number, number])
        if own == 0:  # nobody compared it
            found[systems[number]] = Rating(0.0, -ELO_PER_NAT * FARTHEST, ELO_PER_NAT * FARTHEST)
            continue
        allowed = z**2 * max(1.0, variance / own) / 2  # nats below the best
        ends = [_end(wins, best, fixed, number, side * math.sqrt(own), covariance, allowed) for side in (-1, 1)]
        found[systems[number]] = Rating(*(ELO_PER_NAT * each for each in (float(best[number]), *ends)))
    return {system: found[system] for system in systems}


def _end(wins: Floats, best: Floats, fixed: int, number: int, step: float, covariance: Floats, allowed: float) -> float:
    """Return where one strength lies when the best likelihood with it is as far below the best of all as is allowed."""
    along = covariance[:, number] / covariance[number, number]  # how the others go with it

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
    """Return the likeliest strengths [S] in nats where some are held, by Newton's method in steps of a nat at most."""
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
    """Return the inverse [S, S] of the information on the strengths, 0 for those that are held."""
    chance = 1 / (1 + np.exp(strengths[None, :] - strengths[:, None]))
    told = (wins + wins.T) * chance * (1 - chance)
    free = np.array([number for number in range(len(wins)) if number not in held], dtype=int)
    covariance = np.zeros_like(wins)
    covariance[np.ix_(free, free)] = np.linalg.pinv((np.diag(told.sum(1)) - told)[np.ix_(free, free)])
    return covariance


def _likelihood(wins: Floats, strengths: Floats) -> float:
    return float(-(wins * np.logaddexp(0, strengths[None, :] - strengths[:, None])).sum())


def _wins(systems: int, one: Sequence[int], other: Sequence[int], won: Sequence[float]) -> Floats:
    """Return the wins [S, S] of row over column, half a win each way added where two were compared."""
    wins = np.zeros((systems, systems))
    np.add.at(wins, (one, other), won)
    np.add.at(wins, (other, one), 1 - np.asarray(won, dtype=float))
    return wins + 0.5 * ((wins + wins.T) > 0)
