"""How often one system is preferred to another: clustered by query and labeler, and with length held equal."""

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from data.statistics import Proportion

Floats = NDArray[np.float64]


def win_rate(wins: Sequence[float], queries: Sequence[Hashable], labelers: Sequence[Hashable]) -> Proportion:
    """Return a win rate with a 95 % interval that knows that answers share queries and labelers; a tie is half a win.

    Variances by query, by labeler and by answer are combined as query + labeler - answer, and never below one of the
    first two (Cameron, Gelbach and Miller, 2011). They set the effective number of answers in Wilson's interval, with
    Student's t of their effective degrees of freedom (Satterthwaite, 1946): so it stays inside 0 to 1, and is certain
    of nothing where all answers are equal. bench/coverage.py measures whether it holds.
    """
    n = len(wins)
    if n == 0:
        return Proportion(math.nan, 0.0, 1.0, 0)
    won, by_query, by_labeler = np.asarray(wins, dtype=float), _codes(queries), _codes(labelers)
    of_query = cluster_variance(won, by_query) * _few(by_query)
    variance, freedom = of_query, int(by_query.max())
    if by_labeler.any():  # one judge alone says nothing of judges: then the interval is over queries only
        of_labeler = cluster_variance(won, by_labeler) * _few(by_labeler)
        pairs = _codes(list(zip(by_query.tolist(), by_labeler.tolist(), strict=True)))
        of_answer = cluster_variance(won, pairs) * _few(pairs)
        variance = max(of_query + of_labeler - of_answer, of_query, of_labeler)
        spread = of_query**2 / max(int(by_query.max()), 1) + of_labeler**2 / int(by_labeler.max())
        freedom = int((of_query + of_labeler) ** 2 / spread) if spread > 0 else freedom
    share = float(won.mean())
    effective = min(float(n), share * (1 - share) / variance) if variance > 0 else float(by_query.max() + 1)
    z = float(special.stdtrit(max(freedom, 1), 0.975))  # of Student's t
    centre = (share + z**2 / (2 * effective)) / (1 + z**2 / effective)
    half = z / (1 + z**2 / effective) * math.sqrt(share * (1 - share) / effective + z**2 / (4 * effective**2))
    return Proportion(share, max(0.0, centre - half), min(1.0, centre + half), n)


def cluster_variance(won: Floats, clusters: NDArray[np.int64]) -> float:
    """Return the variance of the mean under a cluster bootstrap, in its closed form: the limit of many draws."""
    sums, counts = np.bincount(clusters, won), np.bincount(clusters)
    return float(((sums - won.mean() * counts) ** 2).sum() / len(won) ** 2)


def _few(clusters: NDArray[np.int64]) -> float:
    """Return what a variance over few clusters is too small by: G / (G - 1)."""
    count = int(clusters.max()) + 1
    return count / max(count - 1, 1)


def length_controlled(
    wins: Sequence[float], own_words: Sequence[int], other_words: Sequence[int], queries: Sequence[Hashable]
) -> Proportion:
    """Return the win rate that two responses of equal length would have, with its 95 % interval clustered by query.

    A logistic regression of winning on a constant and log(own words / other words), as Stiennon et al. (2020), read
    where the lengths are equal. A weak prior (variance 100) keeps it finite where one side always wins.
    """
    n = len(wins)
    if n == 0:
        return Proportion(math.nan, 0.0, 1.0, 0)
    won = np.asarray(wins, dtype=float)
    ratio = np.log(np.maximum(own_words, 1) / np.maximum(other_words, 1))
    x = np.column_stack([np.ones(n), ratio])

    def loss(weights: Floats) -> tuple[float, Floats]:
        logits = x @ weights
        value = float(np.logaddexp(0, logits).sum() - won @ logits + weights @ weights / 200)
        return value, x.T @ (1 / (1 + np.exp(-logits)) - won) + weights / 100

    from scipy import optimize  # takes long to load, and few commands fit anything

    weights = optimize.minimize(loss, np.zeros(2), jac=True, method="BFGS").x
    chance = 1 / (1 + np.exp(-(x @ weights)))
    bread = np.linalg.inv((x * (chance * (1 - chance))[:, None]).T @ x + np.eye(2) / 100)
    scores = np.zeros((int(_codes(queries).max()) + 1, 2))
    np.add.at(scores, _codes(queries), x * (won - chance)[:, None])
    error = 1.959964 * math.sqrt(max(float((bread @ (scores.T @ scores) @ bread)[0, 0]), 0.0))
    value, low, high = (float(1 / (1 + np.exp(-(weights[0] + shift)))) for shift in (0.0, -error, error))
    return Proportion(value, low, high, n)


def _codes(values: Sequence[Hashable]) -> NDArray[np.int64]:
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(value, len(known)) for value in values], dtype=np.int64)
