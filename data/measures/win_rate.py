"""Win rate of one system over another, with answers clustered by query and labeler, and at equal length."""

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from data.measures.intervals import Estimate, wilson

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


def win_rate(wins: Sequence[float], queries: Sequence[Hashable], labelers: Sequence[Hashable]) -> Estimate:
    """Return a win rate with its 95 % interval; a tie is half a win.

    Answers share queries and labelers, which `spread` accounts for. Its variance sets the effective number of answers
    in Wilson's interval, which is at most the number of answers. So the interval stays inside 0 to 1, and has a width
    even if all answers are equal. bench/checks/coverage.py measures its coverage.
    """
    n = len(wins)
    if n == 0:
        return Estimate(math.nan, 0.0, 1.0, 0)
    won, by_query, by_labeler = np.asarray(wins, dtype=float), codes(queries), codes(labelers)
    share = float(won.mean())
    variance, z = spread((won - share) / n, by_query, by_labeler)
    effective = min(float(n), share * (1 - share) / variance) if variance > 0 else float(by_query.max() + 1)
    low, high = wilson(share, effective, z)
    return Estimate(share, max(0.0, min(share, low)), min(1.0, max(share, high)), n)


def spread(influence: Floats, by_query: Codes, by_labeler: Codes) -> tuple[float, float]:
    """Return the variance of an estimate and the quantile of its 95 % interval.

    `influence` [N] is the change of the estimate by each answer. Variances by query, by labeler and by answer are
    combined as query + labeler - answer, but at least the larger of the first two (Cameron, Gelbach and Miller, 2011).
    The quantile is Student's with effective degrees of freedom (Satterthwaite, 1946), which uneven clusters reduce.
    With a single labeler, variance and quantile are over queries only.
    """
    of_query, freedom = cluster_variance(influence, by_query), _effective(by_query) - 1
    variance = of_query
    if by_labeler.any():
        of_labeler = cluster_variance(influence, by_labeler)
        of_answer = cluster_variance(influence, codes(list(zip(by_query.tolist(), by_labeler.tolist(), strict=True))))
        variance = max(of_query + of_labeler - of_answer, of_query, of_labeler)
        if of_query + of_labeler > 0:
            shares = of_query**2 / max(freedom, 1) + of_labeler**2 / max(_effective(by_labeler) - 1, 0.1)
            freedom = (of_query + of_labeler) ** 2 / shares
    return variance, float(special.stdtrit(max(freedom, 1), 0.975))


def cluster_variance(influence: Floats, clusters: Codes) -> float:
    """Return the variance of an estimate by the jackknife over whole clusters, in closed form; 0 for one cluster.

    Unlike a bootstrap, it is valid for few or uneven clusters: it uses the estimate without each cluster.
    """
    sums, counts = np.bincount(clusters, influence), np.bincount(clusters)
    if len(counts) < 2:
        return 0.0
    sums[np.abs(sums) < 1e-12 * np.bincount(clusters, np.abs(influence))] = (
        0  # sums that cancel are exactly 0 in any order
    )
    without = sums / (1 - counts / len(influence))
    return float((len(counts) - 1) / len(counts) * (without**2).sum())


def _effective(clusters: Codes) -> float:
    """Return the effective number of clusters: 1 / sum of their squared shares."""
    return float(1 / ((np.bincount(clusters) / len(clusters)) ** 2).sum())


def length_controlled(
    wins: Sequence[float],
    own_words: Sequence[int],
    other_words: Sequence[int],
    queries: Sequence[Hashable],
    labelers: Sequence[Hashable],
) -> Estimate:
    """Return the win rate that two responses of equal length would have, with its 95 % interval.

    A logistic regression of winning on a constant and log(own words / other words) is evaluated at equal lengths
    (Stiennon et al., 2020). Half a win each way, at equal length, and a weak prior on the slope (variance 100) keep it
    finite if one side always wins. The variance is that of `spread`, but at least that of independent answers, which
    is larger if no two responses have equal length.
    """
    n = len(wins)
    if n == 0:
        return Estimate(math.nan, 0.0, 1.0, 0)
    won = np.asarray([*wins, 0.5], dtype=float)  # the last element is the half win each way
    ratio = np.log(np.maximum(own_words, 1) / np.maximum(other_words, 1))
    x = np.column_stack([np.ones(n + 1), [*ratio, 0.0]])
    prior = np.diag([0.0, 1 / 100])

    def loss(weights: Floats) -> tuple[float, Floats]:
        logits = x @ weights
        value = float(np.logaddexp(0, logits).sum() - won @ logits + weights @ prior @ weights / 2)
        return value, x.T @ (1 / (1 + np.exp(-logits)) - won) + prior @ weights

    from scipy import optimize  # imported here because it loads slowly and few commands need it

    weights = optimize.minimize(loss, np.zeros(2), jac=True, method="BFGS").x
    chance = 1 / (1 + np.exp(-(x @ weights)))
    bread = np.linalg.inv((x * (chance * (1 - chance))[:, None]).T @ x + prior)
    influence = (x @ bread)[:n, 0] * (won - chance)[:n]
    variance, z = spread(influence, codes(queries), codes(labelers))
    error = z * math.sqrt(max(variance, float(bread[0, 0])))
    value, low, high = (float(1 / (1 + np.exp(-(weights[0] + shift)))) for shift in (0.0, -error, error))
    return Estimate(value, low, high, n)


def codes(values: Sequence[Hashable]) -> Codes:
    """Number values in the order in which they first appear."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values], dtype=np.int64)
