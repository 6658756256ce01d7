"""What a batch would tell and cost, before it is paid for."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit
from scipy.special import bdtr

from data.batches.composition import FEWEST_GOLD, gold_count, read_drift
from data.campaign import Campaign
from data.campaign.settings import Batch
from data.measures.agreement import count_classes, krippendorff_alpha, noise_ceiling
from data.measures.intervals import Estimate, proportion
from data.paths import curves_prefix
from data.runs.registry import runs
from data.store import Store, folders
from data.store.manifest import read_manifest

USUAL_AGREEMENT = (
    0.44  # of two people on one question of four, where nothing was measured yet (OpenAI 2019: 0.38, 0.46)
)
GOOD_ON_GOLD = 0.9


DRAWS = 200
WORTH = 0.01  # of accuracy, for a batch to be called worth its price


class Point(NamedTuple):
    """How well a reward model trained on a part of the labels predicts others."""

    labels: int
    right: int
    held_out: int

    @property
    def accuracy(self) -> float:
        return self.right / self.held_out


class Plan(NamedTuple):
    """A batch of so many labels, and what can be known from it."""

    questions: int
    rows: int  # answers to pay for: questions, copies, gold and the fixed comparison
    cost: float
    alpha: Estimate | None  # None where no question is copied
    labelers: int
    gold_a_labeler: float
    guesser_caught: float  # the probability that one who guesses falls below the campaign's bar on gold
    good_one_accused: float  # the probability that one who is right in nine of ten does
    win_rate_width: float  # from lower to upper bound, at one half
    ceiling: float  # how often a perfect predictor would agree with one label
    agreement: float
    agreement_measured: bool
    expected_accuracy: Estimate | None  # of the reward model with these labels added; None with fewer than three points
    accuracy_now: float | None
    gained: Estimate | None = None  # by these labels
    curve: tuple[Point, ...] = ()


def plan(
    campaign: Campaign,
    labels: int,
    price: float,
    labelers: int,
    agreement: float | None,
    curve: Sequence[Point],
) -> Plan:
    """Foresee a batch. `agreement` is that of two people on one question, measured or None; `curve` is that of the
    labels so far, measured or that of the runs."""
    settings, k = campaign.batch, campaign.batch.samples
    questions = settings.questions_for(labels)
    gold = gold_count(settings, questions)
    copied = round(settings.overlap_share * questions)
    watched = len(read_drift(settings.drift, k)) * settings.overlap_copies
    rows = (
        questions + copied * (settings.overlap_copies - 1) + round(settings.repeat_share * questions) + gold + watched
    )
    usual = USUAL_AGREEMENT if agreement is None else agreement
    each = gold / labelers
    have = max((point.labels for point in curve), default=0)
    expected, gained = foreseen_accuracy(curve, have, have + labels, noise_ceiling(usual, k)) or (None, None)
    rate = proportion(campaign.evaluation.queries / 2, campaign.evaluation.queries)
    return Plan(
        questions=questions,
        rows=rows,
        cost=rows * price,
        alpha=foreseen_alpha(usual, k, copied, settings),
        labelers=labelers,
        gold_a_labeler=each,
        guesser_caught=caught(1 / k, each, campaign.quality.labeler_gold),
        good_one_accused=caught(GOOD_ON_GOLD, each, campaign.quality.labeler_gold),
        win_rate_width=rate.high - rate.low,
        ceiling=noise_ceiling(usual, k),
        agreement=usual,
        agreement_measured=agreement is not None,
        expected_accuracy=expected,
        accuracy_now=max(curve).accuracy if curve else None,
        gained=gained,
        curve=tuple(curve),
    )


def foreseen_alpha(agreement: float, k: int, items: int, settings: Batch, draws: int = 200) -> Estimate | None:
    """Simulate the copied questions of a batch: the median of alpha, and where 95 % of draws lie."""
    if items < 2:
        return None
    right, copies = noise_ceiling(agreement, k), settings.overlap_copies
    draw = np.random.default_rng(0)
    found = []
    units = np.repeat(np.arange(items), copies)
    for _ in range(draws):
        truth = np.repeat(draw.integers(0, k, items), copies)
        wrong = (truth + draw.integers(1, k, len(units))) % k
        said = np.where(draw.random(len(units)) < right, truth, wrong)
        found.append(krippendorff_alpha(count_classes(units, said, k)))
    low, middle, high = np.quantile(found, [0.025, 0.5, 0.975])
    return Estimate(float(middle), float(low), float(high), items)


def caught(skill: float, gold: float, bar: float) -> float:
    """Return the probability that a labeler of this skill is right in less than `bar` of so many gold questions."""
    asked = round(gold)
    enough = math.ceil(bar * asked)
    return float(bdtr(enough - 1, asked, skill)) if asked >= FEWEST_GOLD and enough else 0.0


def foreseen_accuracy(curve: Sequence[Point], have: int, then: int, ceiling: float) -> tuple[Estimate, Estimate] | None:
    """Extend the curve of accuracy against labels, ceiling - b n^-c, and return the accuracy `then` and what it gains
    over that at `have`; None with fewer than three different numbers of labels.

    Intervals hold 95 % of the curves that held-out samples of this size might have shown. A reward model may agree with
    one label no more often than the ceiling, or than it was seen to.
    """
    if len({point.labels for point in curve}) < 3:
        return None
    n = np.array([point.labels for point in curve], float)
    held_out = np.array([point.held_out for point in curve])
    right = np.array([point.right for point in curve]) / held_out
    draw = np.random.default_rng(0)
    found = [_law(n, right, (have, then), ceiling)]
    found += [_law(n, draw.binomial(held_out, right) / held_out, (have, then), ceiling) for _ in range(DRAWS)]
    reached = np.array([both for both in found[1:] if both is not None])
    if found[0] is None or not len(reached):
        return None
    now, later = found[0]
    low, high = np.quantile(np.c_[reached[:, 1], reached[:, 1] - reached[:, 0]], [0.025, 0.975], axis=0)
    count = int(held_out.max())
    return Estimate(later, low[0], high[0], count), Estimate(later - now, low[1], high[1], count)


def _law(
    n: NDArray[np.float64], accuracy: NDArray[np.float64], at: tuple[int, int], ceiling: float
) -> tuple[float, float] | None:
    """Fit ceiling - drop (n / n0)^-rate to accuracies and return it at two numbers of labels."""
    ceiling = max(ceiling, float(accuracy.max()))

    def law(count: NDArray[np.float64], drop: float, rate: float) -> NDArray[np.float64]:
        falling: NDArray[np.float64] = ceiling - drop * (count / n.min()) ** -rate
        return falling

    try:
        found, _ = curve_fit(law, n, accuracy, p0=[max(ceiling - accuracy[0], 0.01), 0.3], bounds=([0, 0], [1, 2]))
    except (RuntimeError, ValueError):
        return None
    now, then = law(np.array(at, float), *found).tolist()
    return now, then


def measured_curve(store: Store, campaign: str) -> list[Point]:
    """Return the learning curve that was measured on the most labels, or nothing."""
    prefix = curves_prefix(campaign)
    found = [read_manifest(store, f"{prefix}/{name}") for name in folders(store, prefix)]
    curves = [[Point(*point) for point in each["points"]] for each in found if each is not None]
    return max(curves, key=max, default=[])


def curve_of_runs(store: Store, campaign: str) -> list[Point]:
    """Return labels and held-out accuracy of the runs so far; each was measured on other labels than the next."""
    accuracies = [(run.facts["labels"], run.facts["reward_accuracy"]) for run in runs(store, campaign)]
    return [Point(labels, round(found["value"] * found["n"]), found["n"]) for labels, found in accuracies]
