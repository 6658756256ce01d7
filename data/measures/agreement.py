"""How far labelers agree: Krippendorff's alpha, the one-coin model of skill, and whether positions are chosen evenly.

Answers come as counts: [U, C], how often each of C classes was given to each of U units (here: how often each sample
of an item was chosen, over all copies of the item), or as parallel arrays, one entry an answer.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from data.measures.intervals import Interval

RESAMPLES = 400
Counts = NDArray[np.int64]
Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]


def count_classes(units: Integers, classes: Integers, k: int) -> Counts:
    """Return counts [U, k] of answers given as parallel arrays of unit numbers 0 to U - 1 and classes."""
    counts = np.zeros((int(units.max()) + 1 if len(units) else 0, k), np.int64)
    np.add.at(counts, (units, classes), 1)
    return counts


def krippendorff_alpha(counts: Counts) -> float:
    """Krippendorff's alpha for nominal data, 1 - observed / expected disagreement; nan where nobody answered twice."""
    paired = counts[counts.sum(1) >= 2]
    return float(_alpha(paired, np.ones((1, len(paired))))[0]) if len(paired) else float("nan")


def _alpha(paired: Counts, weights: Floats) -> Floats:
    """Return alpha for each row of weights [R, U] of units [U, k] that were answered at least twice."""
    size = paired.sum(1)
    agreeing = (paired * (paired - 1)).sum(1) / (size - 1)
    total, of_class = weights @ size, weights @ paired
    with np.errstate(divide="ignore", invalid="ignore"):  # of a few units a resample may hold none: nan
        observed = 1 - weights @ agreeing / total
        expected = 1 - (of_class * (of_class - 1)).sum(1) / (total * (total - 1))
        found: Floats = np.where(expected > 0, 1 - observed / expected, np.nan)
    return found


def alpha_interval(counts: Counts, seed: int = 0) -> Interval:
    """Return alpha with its 95 % interval by bootstrap over units (each counts a Poisson number of times)."""
    paired = counts[counts.sum(1) >= 2]
    if len(paired) < 2:
        return Interval(krippendorff_alpha(counts), float("nan"), float("nan"), len(paired))
    # Units with equal counts are drawn together: Poisson numbers add up to a Poisson number.
    kinds, alike = np.unique(paired, axis=0, return_counts=True)
    drawn = np.random.default_rng(seed).poisson(alike, (RESAMPLES, len(kinds))).astype(float)
    found = _alpha(kinds, drawn)
    known = found[~np.isnan(found)]  # none where all answered alike
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (float("nan"), float("nan"))
    return Interval(krippendorff_alpha(paired), float(low), float(high), len(paired))


class Skills(NamedTuple):
    """What the one-coin model makes of all answers."""

    skill: Floats  # [W], the probability that a labeler gives the true class
    log_evidence: Floats  # [W], log-likelihood of the labeler's answers under that skill less that of guessing
    truth: Floats  # [U, k], posterior of each unit's class


def one_coin(
    units: Integers,
    labelers: Integers,
    classes: Integers,
    k: int,
    known: dict[int, int],
    prior: tuple[float, float] = (4.0, 4.0),
    rounds: int = 50,
) -> Skills:
    """Estimate each labeler's skill by EM: the true class with probability p, any other with (1 - p) / (k - 1).

    `known` fixes the truth of gold units; `prior` is a Beta distribution's. One coin a labeler and not a confusion
    matrix, since shuffled positions make classes exchangeable (Dawid and Skene, 1979).
    """
    count_units, count_labelers = int(units.max()) + 1, int(labelers.max()) + 1
    skill: Floats = np.full(count_labelers, 0.7)
    truth = np.full((k, count_units), 1 / k)
    certain, right = np.array([*known], np.int64), np.array([*known.values()], np.int64)
    hits: NDArray[Any] = np.zeros(count_labelers)
    answered = np.bincount(labelers, minlength=count_labelers)
    cells = classes.astype(np.int64) * count_units + units
    for _ in range(rounds):
        odds = np.log(skill * (k - 1) / (1 - skill))
        votes = np.bincount(cells, odds[labelers], k * count_units).reshape(k, count_units)
        truth = np.exp(votes - votes.max(0))
        truth /= truth.sum(0)
        truth[:, certain] = np.eye(k)[:, right]
        hits = np.bincount(labelers, truth.ravel()[cells], count_labelers)
        before = skill
        skill = np.asarray((hits + prior[0]) / (answered + sum(prior)))
        if np.abs(skill - before).max() < 1e-6:
            break
    evidence = hits * np.log(skill * k) + (answered - hits) * np.log((1 - skill) * k / (k - 1))
    return Skills(skill, evidence, truth.T)


def slot_p(positions: Integers, k: int) -> float:
    """Return the p-value of chi-square: that all k positions are equally likely to be chosen."""
    if len(positions) < 2 * k:
        return 1.0
    counts, even = np.bincount(positions, minlength=k)[:k], len(positions) / k
    return float(chdtrc(k - 1, ((counts - even) ** 2 / even).sum()))
