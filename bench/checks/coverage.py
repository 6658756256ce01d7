"""How often 95 % intervals of win rates and Elo contain a known truth: `python -m bench.checks.coverage [EVALUATIONS]`.

Simulated evaluations: a query and a labeler each shift the odds that the system is preferred, and the truth is the win
rate over all queries and labelers there could be; of Elo, what infinitely many answers would give. With N evaluations a
coverage is itself known to 2 sqrt(0.05 / N): 3 points of 200, one of 2,000.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from bench.arguments import parser
from data.evaluation.judgements import Judgement, ratings
from data.measures.elo import Rating, elo_ratings
from data.measures.intervals import Estimate, proportion
from data.measures.win_rate import length_controlled, win_rate


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

    rate: Estimate
    equal_length: Estimate
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


class Ladder(NamedTuple):
    """Systems of which each pair is judged once a query; how much queries and labelers differ, in logits a system."""

    name: str
    queries: int
    labelers: int
    of_labeler: float
    of_query: float = 0.7
    strengths: tuple[float, ...] = (0.0, 0.5, 1.5)


LADDERS = (
    Ladder("200 queries, 20 labelers alike", 200, 20, 0.0),
    Ladder("200 queries, 20 labelers who differ", 200, 20, 0.2),
    Ladder("200 queries, 20 labelers who differ much", 200, 20, 0.4),
    Ladder("80 queries, 8 labelers who differ much", 80, 8, 0.4),
    Ladder("100 queries, 5 labelers who differ much", 100, 5, 0.4),
    Ladder("20 queries, 20 labelers alike, a system that hardly ever loses", 20, 20, 0.0, strengths=(0.0, 4.0)),
)


def ladder(setting: Ladder, count: int, seed: int) -> Iterator[tuple[list[Rating], list[float]]]:
    """Yield the ratings of all systems but the first, and what they would be over all queries and labelers."""
    draw, names = np.random.default_rng(seed), [f"system {number}" for number in range(len(setting.strengths))]
    pairs = list(combinations(range(len(names)), 2))
    points, weights = np.polynomial.hermite_e.hermegauss(200)
    shift = math.sqrt(2) * math.hypot(setting.of_query, setting.of_labeler) * points
    won = [
        float(weights @ (1 / (1 + np.exp(setting.strengths[b] - setting.strengths[a] - shift))) / weights.sum())
        for a, b in pairs
    ]
    many = 10_000  # of each pair, so that the half wins that are added do not count
    left, right = ([names[pair[side]] for pair in pairs for _ in range(many)] for side in (0, 1))
    alike = range(len(left))  # each answer a query and a labeler of its own
    truths = elo_ratings(names, left, right, np.repeat(won, many).tolist(), alike, alike, names[0])
    for _ in range(count):
        of_query = setting.of_query * draw.normal(size=(setting.queries, len(names))) + np.array(setting.strengths)
        of_labeler = setting.of_labeler * draw.normal(size=(setting.labelers, len(names)))
        judgements = []
        for query, worth in enumerate(of_query):
            for a, b in pairs:
                who = int(draw.integers(setting.labelers))
                logit = worth[a] - worth[b] + of_labeler[who, a] - of_labeler[who, b]
                wins = float(draw.random() < 1 / (1 + np.exp(-logit)))
                judgements.append(Judgement(str(query), names[a], names[b], str(who), wins, 1, 1))
        rated = ratings(judgements, names, names[0])
        yield [rated[name] for name in names[1:]], [truths[name].elo for name in names[1:]]


def covered(rates: Sequence[Estimate], truth: float) -> Estimate:
    """Return how many of some intervals hold the truth."""
    return proportion(sum(rate.low <= truth <= rate.high for rate in rates), len(rates))


def looks(count: int, most: int, seed: int = 0, queries: int = 100, people: int = 8) -> list[float]:
    """Return how often equal systems have cleared the bar by each look, a batch of queries to the same people more."""
    draw, cleared = np.random.default_rng(seed), np.zeros((count, most), bool)
    for evaluation in range(count):
        of_labeler = 0.4 * draw.normal(size=people)
        asked, labelers = np.arange(most * queries), draw.integers(people, size=most * queries)
        logits = draw.normal(size=most * queries) + of_labeler[labelers]
        won = (draw.random(most * queries) < 1 / (1 + np.exp(-logits))).astype(float)
        for look in range(most):
            seen = slice(0, (look + 1) * queries)
            rate = win_rate(won[seen].tolist(), asked[seen].tolist(), labelers[seen].tolist())
            cleared[evaluation, look] = rate.low > 0.5
    return [float(each) for each in np.maximum.accumulate(cleared, axis=1).mean(0)]


def main(count: int) -> None:
    print("| evaluation | truth | covered | mean width | covered at equal length |\n|---|---|---|---|---|")
    for number, setting in enumerate(SETTINGS):
        rates, lengths, truths = zip(*evaluations(setting, count, number), strict=True)
        width = sum(rate.high - rate.low for rate in rates) / count
        held = covered(rates, truths[0]), covered(lengths, truths[0])
        print(f"| {setting.name} | {truths[0]:.3f} | {held[0]} | {width:.3f} | {held[1]} |", flush=True)
    print("\n| Elo | truth | covered | mean width |\n|---|---|---|---|")
    for number, climbed in enumerate(LADDERS):
        ladders = list(ladder(climbed, count, number))
        each = [(rating, truth) for rated, truths in ladders for rating, truth in zip(rated, truths, strict=True)]
        held_by = proportion(sum(rating.low <= truth <= rating.high for rating, truth in each), len(each))
        width = sum(rating.high - rating.low for rating, _ in each) / len(each)
        truth = ", ".join(f"{each:.0f}" for each in ladders[0][1])
        print(f"| {climbed.name} | {truth} | {held_by} | {width:.0f} |", flush=True)
    shares = ", ".join(f"{share:.3f}" for share in looks(count, 6))
    print(f"\nequal systems cleared the bar by look 1 to 6 at eight people who differ, 100 queries more each: {shares}")


if __name__ == "__main__":
    arguments = parser("bench.checks.coverage", __doc__)
    arguments.add_argument(
        "evaluations", type=int, nargs="?", default=2_000, help="simulated evaluations (%(default)s)"
    )
    main(arguments.parse_args().evaluations)
