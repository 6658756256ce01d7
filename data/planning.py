"""What a batch would tell and cost, before it is paid for."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import curve_fit
from scipy.stats import binom

from data.agreement import Interval, count_classes, krippendorff_alpha
from data.campaign import Batch, Campaign
from data.composition import read_drift
from data.diagnosis import FEWEST
from data.statistics import proportion

USUAL_AGREEMENT = (
    0.44  # of two people on one question of four, where nothing was measured yet (OpenAI 2019: 0.38, 0.46)
)
GOOD_ON_GOLD = 0.9


class Plan(NamedTuple):
    """A batch of so many labels, and what can be known from it."""

    questions: int
    rows: int  # answers to pay for: questions, copies, gold and the fixed comparison
    cost: float
    alpha: Interval
    labelers: int
    gold_a_labeler: float
    guesser_caught: float  # the probability that one who guesses falls below the campaign's bar on gold
    good_one_accused: float  # the probability that one who is right in nine of ten does
    win_rate_width: float  # from lower to upper bound, at one half
    ceiling: float  # how often a perfect predictor would agree with one label
    agreement: float
    agreement_measured: bool
    expected_accuracy: float | None  # of the reward model with these labels added; None with fewer than three runs
    accuracy_now: float | None


def plan(
    campaign: Campaign,
    labels: int,
    price: float,
    labelers: int,
    agreement: float | None,
    curve: Sequence[tuple[int, float]],
) -> Plan:
    """Foresee a batch. `agreement` is that of two people on one question, measured or None; `curve` holds labels and
    held-out accuracy of the runs so far."""
    settings, k = campaign.batch, campaign.batch.samples
    questions = settings.questions_for(labels)
    gold = round(settings.gold_share * questions)
    copied = round(settings.overlap_share * questions)
    watched = len(read_drift(settings.drift, k)) * settings.overlap_copies
    rows = (
        questions + copied * (settings.overlap_copies - 1) + round(settings.repeat_share * questions) + gold + watched
    )
    usual = USUAL_AGREEMENT if agreement is None else agreement
    each = gold / labelers
    now = max(curve)[1] if curve else None
    rate = proportion(campaign.evaluation.queries / 2, campaign.evaluation.queries)
    return Plan(
        questions,
        rows,
        rows * price,
        foreseen_alpha(usual, k, copied, settings),
        labelers,
        each,
        caught(1 / k, each, campaign.quality.labeler_gold),
        caught(GOOD_ON_GOLD, each, campaign.quality.labeler_gold),
        rate.high - rate.low,
        noise_ceiling(usual, k),
        usual,
        agreement is not None,
        foreseen_accuracy(curve, max((n for n, _ in curve), default=0) + labels, noise_ceiling(usual, k)),
        now,
    )


def noise_ceiling(agreement: float, k: int) -> float:
    """Return how often a labeler gives the answer that most would give, from how often two of them agree.

    With one coin, two agree with probability p^2 + (1 - p)^2 / (k - 1).
    """
    grid = np.linspace(1 / k, 1, 2001)
    return float(grid[np.abs(grid**2 + (1 - grid) ** 2 / (k - 1) - agreement).argmin()])


def foreseen_alpha(agreement: float, k: int, items: int, settings: Batch, draws: int = 200) -> Interval:
    """Simulate the copied questions of a batch: the median of alpha, and where 95 % of draws lie."""
    if items < 2:
        return Interval(float("nan"), float("nan"), float("nan"), items)
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
    return Interval(float(middle), float(low), float(high), items)


def caught(skill: float, gold: float, bar: float) -> float:
    """Return the probability that a labeler of this skill is right in less than `bar` of so many gold questions."""
    asked = round(gold)
    return float(binom.cdf(np.ceil(bar * asked) - 1, asked, skill)) if asked >= FEWEST else 0.0


def foreseen_accuracy(curve: Sequence[tuple[int, float]], labels: int, ceiling: float) -> float | None:
    """Extend the curve of accuracy against labels, ceiling - b n^-c; None with fewer than three points."""
    if len({n for n, _ in curve}) < 3:
        return None
    n, accuracy = (np.array(column, float) for column in zip(*curve, strict=True))

    def law(count: np.ndarray, drop: float, rate: float) -> np.ndarray:
        falling: np.ndarray = ceiling - drop * (count / n.min()) ** -rate
        return falling

    try:
        found, _ = curve_fit(law, n, accuracy, p0=[max(ceiling - accuracy[0], 0.01), 0.3], bounds=([0, 0], [1, 2]))
    except (RuntimeError, ValueError):
        return None
    return float(law(np.array([labels]), *found)[0])
