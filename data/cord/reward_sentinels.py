"""Sentinels of the reward model: when it has been trained, and again when PPO starts to use it."""

import math
from collections.abc import Sequence
from enum import StrEnum
from statistics import fmean, pstdev

from data.campaign.settings import Sentinels
from data.cord.alarms import Alarm
from data.measures.agreement import PairAgreement
from data.measures.intervals import Estimate

FEW_SCORES = 64  # mean and deviation of fewer scores are too uncertain


class RewardModelCode(StrEnum):
    UNLIKE_BASE = "unlike-base"
    CANARIES = "canaries"
    NO_BETTER_THAN_CHANCE = "no-better-than-chance"
    TOO_GOOD = "too-good"


def unlike_base(scores: Sequence[float], published: tuple[float, float, int], limits: Sentinels) -> Alarm | None:
    """Scores of the base, sampled and scored separately, must have the published mean and deviation (pitfall 21).

    `published` is mean, deviation and n. The distance combines mean and log deviation, in standard errors. The log of a
    deviation has variance (kurtosis - 1) / 4n.
    """
    mean, deviation, n = published
    causes = ("scores were normalised on another model's samples", "queries differ")
    if not scores:
        text = f"transformers samples no valid response from the base, of which {n} scores were published"
        return Alarm(RewardModelCode.UNLIKE_BASE, text, ("the end of a response is never sampled", *causes))
    if min(len(scores), n) < FEW_SCORES:
        return None
    centre, spread = fmean(scores), max(pstdev(scores), 1e-6)
    kurtosis = fmean(((score - centre) / spread) ** 4 for score in scores)
    variance = 1 / len(scores) + 1 / n
    shifted = (centre - mean) / (deviation * math.sqrt(variance))
    stretched = math.log(spread / deviation) / math.sqrt(max(kurtosis - 1, 1) / 4 * variance)
    if math.hypot(shifted, stretched) <= limits.base_gap_se:
        return None
    text = (
        f"{len(scores)} scores of the base are {math.hypot(shifted, stretched):.1f} standard errors from those at "
        f"publishing: mean {centre:+.2f} for {mean:+.2f}, deviation {spread:.2f} for {deviation:.2f}"
    )
    return Alarm(RewardModelCode.UNLIKE_BASE, text, causes)


def canaries_differ(ranked: Estimate, error: float, limits: Sentinels) -> Alarm | None:
    """The scorer of PPO must rank the pairs that are stored with the published reward model, with the stored scores."""
    if ranked.value > 0.9 and error <= limits.score_error:
        return None
    causes = ("it is another reward model", "the sign of its scores is flipped", "scores are read at another token")
    text = f"{ranked.value:.0%} of {ranked.n} pairs are ranked as when published, and scores are off by {error:.2f}"
    return Alarm(RewardModelCode.CANARIES, text, causes)


def of_reward_model(
    accuracy: Estimate,
    of_one_best: Estimate | None,
    learned: Estimate,
    chance: float,
    gold: Estimate | None,
    agreed: PairAgreement | None,
    limits: Sentinels,
) -> list[Alarm]:
    """Compare a trained reward model with chance, with the limit of its labelers' agreement, and with known answers.

    `learned` is the accuracy in the second half of its one epoch, on every label before it was trained on. It covers
    many more labels than the held-out `accuracy`, and says less about the finished model. Gold questions are right by
    construction and do not pass through labels, so they also show labels that are consistently wrong. `agreed`
    limits the accuracy of any model on labels that name one best (data/measures/agreement.py).
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
        found.append(
            Alarm(RewardModelCode.NO_BETTER_THAN_CHANCE, f"{', '.join(unlearned)}, chance {chance:.3f}", causes)
        )
    if agreed is not None and of_one_best is not None and of_one_best.low > agreed.ceiling.high:
        causes = ("questions are on both sides of the split", "labels were made by a model")
        allowed = f"labelers who agree in {agreed.rate} of questions allow {agreed.ceiling.high:.2f} at most"
        found.append(Alarm(RewardModelCode.TOO_GOOD, f"held-out accuracy is {of_one_best}, and {allowed}", causes))
    taught = learned.n >= limits.reward_labels  # few labels teach nothing, right or wrong
    if gold is not None and taught and gold.n >= 10 and gold.value <= chance:
        causes = ("labels are inverted or shifted", "the wrong sample counts as best", "options were not mapped back")
        found.append(Alarm(RewardModelCode.CANARIES, f"{gold} of {gold.n} known answers are ranked right", causes))
    return found
