"""Sentinels of the reward model: what it says of itself when it is trained, and again when PPO begins to use it."""

import math
from collections.abc import Sequence
from statistics import fmean, pstdev

from data.campaign.settings import Sentinels
from data.cord.sentinels import Alarm
from data.measures.agreement import PairAgreement
from data.measures.intervals import Estimate

FEW_SCORES = 64  # of fewer, mean and deviation say little


def unlike_base(scores: Sequence[float], published: tuple[float, float, int], limits: Sentinels) -> Alarm | None:
    """The base's scores, sampled and scored elsewhere, must be as published: mean, deviation, n (pitfall 21).

    The distance is that of mean and log deviation together, in standard errors; what a deviation is off by depends on
    the kurtosis: its log has variance (kurtosis - 1) / 4n.
    """
    mean, deviation, n = published
    if min(len(scores), n) < FEW_SCORES:
        return None
    centre, spread = fmean(scores), max(pstdev(scores), 1e-6)
    kurtosis = fmean(((score - centre) / spread) ** 4 for score in scores)
    each = 1 / len(scores) + 1 / n
    shifted = (centre - mean) / (deviation * math.sqrt(each))
    stretched = math.log(spread / deviation) / math.sqrt(max(kurtosis - 1, 1) / 4 * each)
    if math.hypot(shifted, stretched) <= limits.base_gap_se:
        return None
    found = (
        f"{len(scores)} scores of the base are {math.hypot(shifted, stretched):.1f} standard errors from those at "
        f"publishing: mean {centre:+.2f} for {mean:+.2f}, deviation {spread:.2f} for {deviation:.2f}"
    )
    return Alarm("unlike the base", found, ("scores were normalised on another model's samples", "queries differ"))


def canaries_differ(ranked: Estimate, error: float, limits: Sentinels) -> Alarm | None:
    """What PPO is paid by must rank the pairs stored with the published reward model as that did, with its scores."""
    if ranked.value > 0.9 and error <= limits.score_error:
        return None
    causes = ("it is another reward model", "its scores are turned round", "scores are read at another token")
    found = f"of {ranked.n} pairs {ranked.value:.0%} are ranked as when published, their scores are off by {error:.2f}"
    return Alarm("canaries", found, causes)


def of_reward_model(
    accuracy: Estimate,
    of_one_best: Estimate | None,
    learned: Estimate,
    chance: float,
    gold: Estimate | None,
    agreed: PairAgreement | None,
    limits: Sentinels,
) -> list[Alarm]:
    """What a trained reward model says of itself: on labels it had not seen, and where the best sample is known.

    `learned` is its accuracy in the second half of its one epoch, of every label before it was trained on: it says
    less of the finished model than the held-out `accuracy`, but of many more labels.
    Gold is right by construction and does not pass through labels, so it also shows labels that are consistently wrong.
    `agreed` limits the accuracy that any model can have on labels that name one best (data/measures/agreement.py).
    """
    found = []
    causes: tuple[str, ...]
    unlearned = [
        f"{name} is {share}"
        for name, share in (("accuracy held out", accuracy), ("accuracy on labels not yet trained on", learned))
        if share.n >= limits.reward_labels and share.value <= chance + 2 * math.sqrt(chance * (1 - chance) / share.n)
    ]
    if unlearned:
        causes = ("labels are joined to the wrong questions", "the wrong sample counts as best", "labels are noise")
        found.append(Alarm("no better than chance", f"{', '.join(unlearned)}, chance {chance:.3f}", causes))
    if agreed is not None and of_one_best is not None and of_one_best.low > agreed.ceiling.high:
        causes = ("questions are on both sides of the split", "labels were made by a model")
        allowed = f"labelers who agree in {agreed.rate} of questions allow {agreed.ceiling.high:.2f} at most"
        found.append(Alarm("too good to be true", f"held-out accuracy is {of_one_best}, and {allowed}", causes))
    taught = learned.n >= limits.reward_labels  # few labels teach nothing, right or wrong
    if gold is not None and taught and gold.n >= 10 and gold.value <= chance:
        causes = ("labels are inverted or shifted", "the wrong sample counts as best", "options were not mapped back")
        found.append(Alarm("canaries", f"of {gold.n} known answers {gold} are ranked right", causes))
    return found
