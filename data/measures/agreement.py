"""Agreement of labelers: Krippendorff's alpha, the one-coin model of skill, a test of positions, the noise ceiling.

Answers are counts [U, C], the number of times that each of C classes was chosen for each of U units. A unit is an item
with all its copies, a class one of its samples. Some functions take parallel arrays instead, with one entry an answer.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from data.measures.intervals import Estimate

RESAMPLES = 400  # bootstrap samples behind an interval of alpha
EM_ROUNDS = 50  # at most; EM stops earlier if no skill changes by more than 1e-6
SKILL_PRIOR = (4.0, 4.0)  # Beta distribution of a labeler's skill before any answer: right and wrong answers
Counts = NDArray[np.int64]
Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]


def count_classes(units: Integers, classes: Integers, k: int) -> Counts:
    """Return counts [U, k] of answers given as parallel arrays of unit numbers 0 to U - 1 and classes."""
    counts = np.zeros((int(units.max()) + 1 if len(units) else 0, k), np.int64)
    np.add.at(counts, (units, classes), 1)
    return counts


def krippendorff_alpha(counts: Counts) -> float:
    """Krippendorff's alpha for nominal data, 1 - observed / expected disagreement; nan if no unit has two answers."""
    paired = counts[counts.sum(1) >= 2]
    return float(_alpha(paired, np.ones((1, len(paired))))[0]) if len(paired) else float("nan")


def _alpha(paired: Counts, weights: Floats) -> Floats:
    """Return alpha [R] for each row of weights [R, U] of units [U, k] with at least two answers each."""
    size = paired.sum(1)
    agreeing = (paired * (paired - 1)).sum(1) / (size - 1)
    total, of_class = weights @ size, weights @ paired
    with np.errstate(divide="ignore", invalid="ignore"):  # a resample of few units may be empty: nan
        observed = 1 - weights @ agreeing / total
        expected = 1 - (of_class * (of_class - 1)).sum(1) / (total * (total - 1))
        alpha: Floats = np.where(expected > 0, 1 - observed / expected, np.nan)
    return alpha


def alpha_interval(counts: Counts) -> Estimate:
    """Return alpha with its 95 % interval by bootstrap over units: each counts a Poisson number of times, seed 0."""
    paired = counts[counts.sum(1) >= 2]
    if len(paired) < 2:
        return Estimate(krippendorff_alpha(counts), float("nan"), float("nan"), len(paired))
    # Units with equal counts are drawn together, because a sum of Poisson numbers is a Poisson number.
    rows, multiplicity = np.unique(paired, axis=0, return_counts=True)
    weights = np.random.default_rng(0).poisson(multiplicity, (RESAMPLES, len(rows))).astype(float)
    alphas = _alpha(rows, weights)
    alphas = alphas[~np.isnan(alphas)]  # empty if all answers are equal
    low, high = np.quantile(alphas, [0.025, 0.975]) if len(alphas) else (float("nan"), float("nan"))
    return Estimate(krippendorff_alpha(paired), float(low), float(high), len(paired))


class Skills(NamedTuple):
    """Estimates of the one-coin model for W labelers and U units of k classes."""

    skill: Floats  # [W], the probability that a labeler gives the true class
    truth: Floats  # [U, k], posterior of each unit's class


def one_coin(units: Integers, labelers: Integers, classes: Integers, k: int, gold: dict[int, int]) -> Skills:
    """Estimate each labeler's skill p by EM (Dawid and Skene, 1979).

    A labeler gives the true class with probability p and each other class with (1 - p) / (k - 1). `gold` fixes the
    class of gold units. A labeler has one coin and no confusion matrix, because shuffled positions make classes
    exchangeable.
    """
    count_units, count_labelers = int(units.max(initial=-1)) + 1, int(labelers.max(initial=-1)) + 1
    skill: Floats = np.full(count_labelers, 0.7)
    truth = np.full((k, count_units), 1 / k)
    certain, right = np.array([*gold], np.int64), np.array([*gold.values()], np.int64)
    answers_of = np.bincount(labelers, minlength=count_labelers)
    cells = classes.astype(np.int64) * count_units + units
    for _ in range(EM_ROUNDS):
        odds = np.log(skill * (k - 1) / (1 - skill))
        votes = np.bincount(cells, odds[labelers], k * count_units).reshape(k, count_units)
        truth = np.exp(votes - votes.max(0))
        truth /= truth.sum(0)
        truth[:, certain] = np.eye(k)[:, right]
        hits = np.bincount(labelers, truth.ravel()[cells], count_labelers)
        before = skill
        skill = np.asarray((hits + SKILL_PRIOR[0]) / (answers_of + sum(SKILL_PRIOR)))
        if np.abs(skill - before).max(initial=0.0) < 1e-6:
            break
    return Skills(skill, truth.T)


def slot_p(positions: Integers, k: int) -> float:
    """Return the p-value of a chi-square test that all k positions are equally likely to be chosen."""
    if len(positions) < 2 * k:
        return 1.0
    counts, even = np.bincount(positions, minlength=k)[:k], len(positions) / k
    return float(chdtrc(k - 1, ((counts - even) ** 2 / even).sum()))


def noise_ceiling(agreement: float, k: int) -> float:
    """Return the highest accuracy that any model can have on single labels, from how often two labelers agree.

    Let q be the distribution of labelers' answers to one question over its k options. A model that knows q is right
    with probability m = max q, and no model is right more often. Two labelers agree with probability

        sum q_i^2 >= m^2 + (1 - m)^2 / (k - 1) = f(m),

    because the other k - 1 answers agree least if they are spread evenly. f is convex and increases from 1/k on, so on
    average over questions agreement >= E f(m) >= f(E m). The highest possible accuracy E m is therefore at most the p
    that solves f(p) = agreement:

        p = (1 + sqrt((k - 1) (k agreement - 1))) / k.

    The bound is reached if all questions are equally hard and wrong answers are spread evenly: this is the one-coin
    model, in which p is the labelers' skill. sqrt(agreement) is the weaker bound of infinitely many options. If
    questions differ in k, the largest k gives a valid bound. Labelers count as interchangeable: their answers to one
    question are independent draws from q. Agreement below 1/k, which is less than chance, gives 1/k.
    """
    return (1 + math.sqrt((k - 1) * max(0.0, k * agreement - 1))) / k


class PairAgreement(NamedTuple):
    """Share of pairs of answers to one question in which two labelers chose the same option."""

    rate: Estimate
    options: int  # largest number of options of the compared questions

    @property
    def ceiling(self) -> Estimate:
        """The highest accuracy that a reward model can have on single labels (see `noise_ceiling`)."""
        value, low, high = (noise_ceiling(bound, self.options) for bound in self.rate[:3])
        return Estimate(value, low, high, self.rate.n)
