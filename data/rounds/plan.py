"""Planning: the price of a batch and what it is expected to show."""

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

USUAL_AGREEMENT = 0.44  # of two people on a question with four options, before it is measured (OpenAI 2019: 0.38, 0.46)
GOOD_ON_GOLD = 0.9  # skill of a careful labeler on gold questions
DRAWS = 200  # simulations behind every interval of a plan
WORTH = 0.01  # smallest gain in accuracy that is worth the price of a batch


class Point(NamedTuple):
    """Accuracy on held-out labels of a reward model that was trained on `labels` labels."""

    labels: int
    right: int
    held_out: int

    @property
    def accuracy(self) -> float:
        return self.right / self.held_out


class Plan(NamedTuple):
    """A batch of a certain size, its price, and what it is expected to show."""

    questions: int
    rows: int  # answers to pay for: questions, copies, gold questions and drift questions
    cost: float
    alpha: Estimate | None  # None if no question is copied
    labelers: int
    gold_a_labeler: float
    guesser_caught: float  # probability that a labeler who guesses falls below the campaign's bar on gold
    good_one_accused: float  # probability that a labeler who is right in nine of ten falls below it
    win_rate_width: float  # width of the interval of a win rate of one half
    ceiling: float  # largest possible accuracy on single labels
    agreement: float
    agreement_measured: bool
    expected_accuracy: Estimate | None  # of the reward model with these labels added; None with fewer than three points
    accuracy_now: float | None
    gained: Estimate | None = None  # gain in accuracy by these labels
    curve: tuple[Point, ...] = ()


def plan(
    campaign: Campaign,
    labels: int,
    price: float,
    labelers: int,
    agreement: float | None,
    curve: Sequence[Point],
) -> Plan:
    """Return the plan of a batch of `labels` labels at `price` each.

    `agreement` is the share of questions that two labelers answer equally, None before it is measured. `curve` is the
    learning curve of the labels so far, measured or from the runs.
    """
    settings, k = campaign.batch, campaign.batch.samples
    questions = settings.questions_for(labels)
    gold = gold_count(settings, questions)
    copied = round(settings.overlap_share * questions)
    drift = len(read_drift(settings.drift, k)) * settings.overlap_copies
    rows = questions + copied * (settings.overlap_copies - 1) + round(settings.repeat_share * questions) + gold + drift
    usual = USUAL_AGREEMENT if agreement is None else agreement
    gold_a_labeler = gold / labelers
    have = max((point.labels for point in curve), default=0)
    expected, gained = foreseen_accuracy(curve, have, have + labels, noise_ceiling(usual, k)) or (None, None)
    rate = proportion(campaign.evaluation.queries / 2, campaign.evaluation.queries)
    return Plan(
        questions=questions,
        rows=rows,
        cost=rows * price,
        alpha=foreseen_alpha(usual, k, copied, settings),
        labelers=labelers,
        gold_a_labeler=gold_a_labeler,
        guesser_caught=caught(1 / k, gold_a_labeler, campaign.quality.labeler_gold),
        good_one_accused=caught(GOOD_ON_GOLD, gold_a_labeler, campaign.quality.labeler_gold),
        win_rate_width=rate.high - rate.low,
        ceiling=noise_ceiling(usual, k),
        agreement=usual,
        agreement_measured=agreement is not None,
        expected_accuracy=expected,
        accuracy_now=max(curve).accuracy if curve else None,
        gained=gained,
        curve=tuple(curve),
    )


def foreseen_alpha(agreement: float, k: int, items: int, settings: Batch) -> Estimate | None:
    """Simulate the copied questions of a batch; return the median of alpha and the range of 95 % of the draws.

    None with fewer than two copied questions.
    """
    if items < 2:
        return None
    right, copies = noise_ceiling(agreement, k), settings.overlap_copies
    draw = np.random.default_rng(0)
    alphas = []
    units = np.repeat(np.arange(items), copies)
    for _ in range(DRAWS):
        truth = np.repeat(draw.integers(0, k, items), copies)
        wrong = (truth + draw.integers(1, k, len(units))) % k
        answers = np.where(draw.random(len(units)) < right, truth, wrong)
        alphas.append(krippendorff_alpha(count_classes(units, answers, k)))
    low, middle, high = np.quantile(alphas, [0.025, 0.5, 0.975])
    return Estimate(float(middle), float(low), float(high), items)


def caught(skill: float, gold: float, bar: float) -> float:
    """Return the probability that a labeler of this skill is right in less than the share `bar` of gold questions.

    With fewer than FEWEST_GOLD gold questions a labeler is not measured, so the probability is 0.
    """
    questions = round(gold)
    enough = math.ceil(bar * questions)
    return float(bdtr(enough - 1, questions, skill)) if questions >= FEWEST_GOLD and enough else 0.0


def foreseen_accuracy(curve: Sequence[Point], have: int, then: int, ceiling: float) -> tuple[Estimate, Estimate] | None:
    """Extrapolate the learning curve ceiling - b n^-c; return the accuracy at `then` labels and its gain over `have`.

    None with fewer than three different numbers of labels. The intervals contain 95 % of the curves fitted to held-out
    sets of this size that are drawn again. The ceiling is raised to the highest measured accuracy.
    """
    if len({point.labels for point in curve}) < 3:
        return None
    n = np.array([point.labels for point in curve], float)
    held_out = np.array([point.held_out for point in curve])
    right = np.array([point.right for point in curve]) / held_out
    draw = np.random.default_rng(0)
    fitted = _law(n, right, (have, then), ceiling)
    fits = [_law(n, draw.binomial(held_out, right) / held_out, (have, then), ceiling) for _ in range(DRAWS)]
    drawn = np.array([fit for fit in fits if fit is not None])
    if fitted is None or not len(drawn):
        return None
    now, later = fitted
    low, high = np.quantile(np.c_[drawn[:, 1], drawn[:, 1] - drawn[:, 0]], [0.025, 0.975], axis=0)
    count = int(held_out.max())
    return Estimate(later, low[0], high[0], count), Estimate(later - now, low[1], high[1], count)


def _law(
    n: NDArray[np.float64], accuracy: NDArray[np.float64], at: tuple[int, int], ceiling: float
) -> tuple[float, float] | None:
    """Fit ceiling - drop (n / n0)^-rate; return its values at two numbers of labels, None if the fit fails."""
    ceiling = max(ceiling, float(accuracy.max()))

    def law(count: NDArray[np.float64], drop: float, rate: float) -> NDArray[np.float64]:
        falling: NDArray[np.float64] = ceiling - drop * (count / n.min()) ** -rate
        return falling

    try:
        fitted, _ = curve_fit(law, n, accuracy, p0=[max(ceiling - accuracy[0], 0.01), 0.3], bounds=([0, 0], [1, 2]))
    except (RuntimeError, ValueError):
        return None
    now, then = law(np.array(at, float), *fitted).tolist()
    return now, then


def measured_curve(store: Store, campaign: str) -> list[Point]:
    """Return the learning curve that was measured on the most labels; empty if none was measured."""
    prefix = curves_prefix(campaign)
    published = filter(None, (read_manifest(store, f"{prefix}/{name}") for name in folders(store, prefix)))
    curves = [[Point(*point) for point in curve["points"]] for curve in published]
    return max(curves, key=max, default=[])


def curve_of_runs(store: Store, campaign: str) -> list[Point]:
    """Return labels and held-out accuracy of the runs so far. Each run has its own held-out labels."""
    measured = [(run.facts["labels"], run.facts["reward_accuracy"]) for run in runs(store, campaign)]
    return [Point(labels, round(accuracy["value"] * accuracy["n"]), accuracy["n"]) for labels, accuracy in measured]
