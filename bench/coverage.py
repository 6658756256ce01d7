"""How often 95 % intervals of a win rate hold a truth that is known: `python -m bench.coverage [EVALUATIONS]`.

Simulated evaluations: a query and a labeler each shift the odds that the system is preferred, and the truth is the win
rate over all queries and labelers there could be. With N evaluations a coverage is itself known to 2 sqrt(0.05 / N):
3 points of 200, one of 2,000.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from data.measures.winning import length_controlled, win_rate
from data.statistics import Proportion, proportion


class Setting(NamedTuple):
    """What one evaluation asks, and how much queries and labelers differ, in logits."""

    name: str
    mean: float  # logit of preferring the system
    of_query: float
    of_labeler: float
    queries: int = 200
    labelers: int = 30
    answers: int = 1  # to each query, by different labelers
    uneven: float = 0.0  # how a labeler's share of the answers falls with its rank: rank ** -uneven


SETTINGS = (
    Setting("even, one answer a query", 0.0, 1.0, 0.0),
    Setting("even, labelers differ", 0.0, 1.0, 0.4, answers=3),
    Setting("even, labelers differ much", 0.0, 1.0, 0.8, answers=3),
    Setting("0.65, one answer a query", 0.6, 1.0, 0.0),
    Setting("0.65, labelers differ", 0.6, 1.0, 0.4, answers=3),
    Setting("0.65, labelers differ much", 0.6, 1.0, 0.8, answers=3),
    Setting("0.9, one answer a query", 2.6, 1.0, 0.0),
    Setting("0.9, labelers differ", 2.6, 1.0, 0.4, answers=3),
    Setting("0.9, labelers differ much", 2.6, 1.0, 0.8, answers=3),
    Setting("0.9, 512 queries, 20 judges, as the shipped campaigns ask", 2.6, 1.0, 0.2, 512, 20),
    Setting("0.97, 512 queries, 20 judges", 4.0, 1.0, 0.2, 512, 20),
    Setting("0.65, 60 queries, 5 people answer all", 0.6, 1.0, 0.4, 60, 5, 5),
    Setting("0.65, 100 queries, 8 people answer all", 0.6, 1.0, 0.4, 100, 8, 8),
    Setting("0.9, 200 queries, 3 people who differ answer all", 2.6, 1.0, 0.4, 200, 3, 3),
    Setting("0.65, 200 queries, 20 people of uneven zeal", 0.6, 1.0, 0.4, 200, 20, uneven=1.5),
    Setting("0.65, 200 queries, 20 people of uneven zeal who differ much", 0.6, 1.0, 0.8, 200, 20, uneven=1.5),
    Setting("0.65, 200 queries, 10 people, one gives two answers of three", 0.6, 1.0, 0.4, 200, 10, uneven=2.2),
)


class Found(NamedTuple):
    """What one simulated evaluation gives, and the truth; lengths have no say, so it is the same at equal length."""

    rate: Proportion
    equal_length: Proportion
    truth: float


def evaluations(setting: Setting, count: int, seed: int) -> Iterator[Found]:
    """Yield what each of `count` simulated evaluations gives."""
    draw = np.random.default_rng(seed)
    spread = math.hypot(setting.of_query, setting.of_labeler)
    points, weights = np.polynomial.hermite_e.hermegauss(200)
    truth = float((weights / (1 + np.exp(-(setting.mean + spread * points)))).sum() / weights.sum())
    queries = np.repeat(np.arange(setting.queries), setting.answers)
    for _ in range(count):
        if setting.uneven:
            zeal = np.arange(1.0, setting.labelers + 1) ** -setting.uneven
            labelers = draw.choice(setting.labelers, len(queries), p=zeal / zeal.sum())
        else:
            turns = [draw.permutation(setting.labelers) for _ in range(len(queries) // setting.labelers + 1)]
            labelers = np.concatenate(turns)[: len(queries)]
        shift = setting.of_query * draw.normal(size=setting.queries)[queries]
        shift += setting.of_labeler * draw.normal(size=setting.labelers)[labelers]
        won = draw.random(len(queries)) < 1 / (1 + np.exp(-(setting.mean + shift)))
        own, other = draw.integers(10, 40, (2, setting.queries))[:, queries]
        answered = won.astype(float).tolist(), queries.tolist(), labelers.tolist()
        length = length_controlled(answered[0], own.tolist(), other.tolist(), *answered[1:])
        yield Found(win_rate(*answered), length, truth)


def covered(rates: Sequence[Proportion], truth: float) -> Proportion:
    """Return how many of some intervals hold the truth."""
    return proportion(sum(rate.low <= truth <= rate.high for rate in rates), len(rates))


def main(count: int) -> None:
    print("| evaluation | truth | covered | mean width | covered at equal length |\n|---|---|---|---|---|")
    for number, setting in enumerate(SETTINGS):
        rates, lengths, truths = zip(*evaluations(setting, count, number), strict=True)
        width = sum(rate.high - rate.low for rate in rates) / count
        held = covered(rates, truths[0]), covered(lengths, truths[0])
        print(f"| {setting.name} | {truths[0]:.3f} | {held[0]} | {width:.3f} | {held[1]} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000)
