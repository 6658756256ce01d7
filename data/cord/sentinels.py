"""Sentinels of an update: what the numbers of a training show when something is wrong, and the usual causes.

Each sentinel is a pure function of the metrics of the updates so far (models/ppo/train.py and
models/monitoring/monitor.py) and the campaign's thresholds. It returns an Alarm or None. To add one, add its code and
its function here, decorated with `UPDATES.add`.

The curves of the 2019 bug looked healthy: its reward and its KL were those of a good run. Two things show such a bug: a
score that does not pass through the trainer's code, and whether the policy moves in the direction of that score.
"""

import math
from enum import StrEnum
from statistics import fmean, median

from data.campaign.settings import Policy
from data.cord.alarms import Alarm, History, SentinelList, Worst
from data.cord.limits import Limits
from data.cord.response_sentinels import RESPONSES


class UpdateCode(StrEnum):
    NOT_FINITE = "not-finite"
    RATIO_NOT_1 = "ratio-not-1"
    KL_AT_START = "kl-at-start"
    KL_TOO_HIGH = "kl-too-high"
    KL_JUMP = "kl-jump"
    KL_NEGATIVE = "kl-negative"
    REFERENCE_MOVED = "reference-moved"
    STEP_TOO_LARGE = "step-too-large"
    LOSS_SPIKE = "loss-spike"
    REWARD_MISMATCH = "reward-mismatch"
    SCORE_MISMATCH = "score-mismatch"
    SCORE_FALLS = "score-falls"
    UPDATE_MISALIGNED = "update-misaligned"
    KL_COEFFICIENT_MISMATCH = "kl-coefficient-mismatch"
    OTHER_QUERIES = "other-queries"
    VALUE_LOSS_NEGATIVE = "value-loss-negative"


UPDATES = SentinelList()


def not_finite(history: History, limits: Limits, policy: Policy) -> Alarm | None:
    bad = sorted(name for name, value in history[-1].items() if not math.isfinite(value))
    if not bad:
        return None
    return Alarm(
        UpdateCode.NOT_FINITE, f"{', '.join(bad)} is not a number", ("the learning rate is too high", "a bad reward")
    )


@UPDATES.add(ratio_error=max)
def ratio_not_1(history: History, limits: Limits, policy: Policy) -> Alarm | None:
    """The first pass over a rollout must find the probabilities that sampled it (pitfalls 15 and 34)."""
    error = history[-1].get("ratio_error", 0.0)
    if error <= limits.ratio_error:
        return None
    causes = ("dropout is on", "sampling and training use different temperatures", "padding or positions differ")
    return Alarm(UpdateCode.RATIO_NOT_1, f"the first ratio is off 1 by {error:.3f} on average", causes)


@UPDATES.add()
def kl_at_start(history: History, limits: Limits, policy: Policy) -> Alarm | None:
    """The policy starts as its reference, so the first KL is 0 up to rounding."""
    kl = history[0]["kl"]
    if len(history) > 1 or abs(kl) <= limits.first_kl:
        return None
    causes = ("the reference is another model", "temperature is missing in the reference", "affixes differ")
    return Alarm(UpdateCode.KL_AT_START, f"KL to the base is {kl:.2f} nats before anything was trained", causes)


@UPDATES.add(paid_error=max)
def reward_mismatch(history: History, limits: Limits, policy: Policy) -> Alarm | None:
    """The reward of each token must be score minus KL penalty, as computed separately (pitfalls 1 to 6 and 37)."""
    error = history[-1].get("paid_error", 0.0)
    if error <= limits.paid_error:
        return None
    causes = ("the reward's sign is flipped", "KL is rewarded", "the score is added at another index")
    return Alarm(
        UpdateCode.REWARD_MISMATCH, f"token rewards are off by {error:.4f} from score minus KL penalty", causes
    )


@UPDATES.add(score_error=max)
def score_mismatch(history: History, limits: Limits, policy: Policy) -> Alarm | None:
    """The shadow scorer, another process with plain code, must compute the scores that PPO used."""
    error = history[-1].get("score_error", 0.0)
    if error <= limits.score_error:
        return None
    causes = (
        "the trainer uses another reward model than the published one",
        "the score is read at another token",
        "padding changes scores",
    )
    return Alarm(UpdateCode.SCORE_MISMATCH, f"scores are off by {error:.3f} from the published reward model's", causes)


@UPDATES.add(base_gap=min)
def score_falls(history: History, limits: Limits, policy: Policy) -> Alarm | None:
    """By the shadow scorer, valid responses must not score far below the base's in two updates in a row."""
    last = [metrics.get("base_gap", 0.0) for metrics in history[-2:]]
    if len(last) < 2 or max(last) >= -limits.score_falls_se:
        return None
    text = f"responses score {-last[-1]:.1f} standard errors below the base's, two updates in a row"
    return Alarm(
        UpdateCode.SCORE_FALLS, text, ("the reward's sign is flipped", "the reward model was trained backwards")
    )


@UPDATES.add(followed=min)
def update_misaligned(history: History, limits: Limits, policy: Policy) -> Alarm | None:
    """An update must make the responses with higher rewards likelier: score minus KL penalty, computed separately."""
    values = [metrics["followed"] for metrics in history if "followed" in metrics]
    if policy.epochs == 1 or "followed" not in history[-1]:  # with one epoch, nothing measures the update after it
        return None
    opposed, unrelated = fmean(values[-3:]), fmean(values[-5:])
    causes = ("the sign of reward, advantage or loss is flipped", "rows are mixed up")
    if len(values) >= 3 and opposed < -limits.followed_se / math.sqrt(3 * policy.batch):
        text = f"responses with higher rewards became less likely (correlation {opposed:+.2f} over three updates)"
    elif len(values) >= 5 and unrelated < limits.followed_se / math.sqrt(5 * policy.batch):
        text = f"likelier responses are not those with higher rewards (correlation {unrelated:+.2f} over five updates)"
    else:
        return None
    return Alarm(UpdateCode.UPDATE_MISALIGNED, text, causes)


@UPDATES.add()
def kl_coefficient_mismatch(history: History, limits: Limits, policy: Policy) -> Alarm | None:
    """The KL coefficient must follow from the last one and its KL (pitfall 5)."""
    if len(history) < 2 or "kl_coefficient" not in history[-2]:
        return None
    before, kl = history[-2]["kl_coefficient"], history[-2]["kl"]
    error = 0.0 if policy.kl_target is None else min(max(kl / policy.kl_target - 1, -0.2), 0.2)
    should = before * (1 + error * policy.batch / policy.kl_horizon)
    if math.isclose(history[-1]["kl_coefficient"], should, rel_tol=1e-6):
        return None
    text = f"the KL coefficient is {history[-1]['kl_coefficient']:.5f}, expected {should:.5f} after the last update"
    return Alarm(
        UpdateCode.KL_COEFFICIENT_MISMATCH,
        text,
        ("the sign of the controller is flipped", "KL or batch are counted differently"),
    )


@UPDATES.add()
def other_queries(history: History, limits: Limits, policy: Policy) -> Alarm | None:
    """Rollouts must answer the campaign's training queries, in the campaign's text format (pitfalls 19 and 20)."""
    if not history[-1].get("other_queries"):
        return None
    text = f"{history[-1]['other_queries']:.0f} queries of a rollout are not the campaign's, or have another format"
    return Alarm(
        UpdateCode.OTHER_QUERIES, text, ("queries of another split", "affixes are missing or reach the reward model")
    )


@UPDATES.add()
def value_loss_negative(history: History, limits: Limits, policy: Policy) -> Alarm | None:
    if history[-1]["loss_value"] >= 0:
        return None
    text = f"the value loss, a mean of squares, is {history[-1]['loss_value']:.2f}"
    return Alarm(UpdateCode.VALUE_LOSS_NEGATIVE, text, ("the sign of the value loss is flipped",))


@UPDATES.add()
def reference_moved(history: History, limits: Limits, policy: Policy) -> Alarm | None:
    """A policy that moved has left its reference, unless the reference moved along (pitfall 42)."""
    if len(history) < 2 or history[-2]["approx_kl"] < 1e-6 or abs(history[-1]["kl"]) > 1e-6:
        return None
    return Alarm(
        UpdateCode.REFERENCE_MOVED, "the policy moved and KL stayed 0", ("the reference shares the policy's weights",)
    )


@UPDATES.add(kl=max)
def kl_too_high(history: History, limits: Limits, policy: Policy) -> Alarm | None:
    most = limits.kl_most if policy.kl_target is None else max(limits.kl_targets * policy.kl_target, limits.kl_least)
    if len(history) < 2 or min(metrics["kl"] for metrics in history[-2:]) <= most:
        return None
    causes = ("KL is rewarded instead of penalised", "the coefficient does not adapt", "the learning rate is too high")
    return Alarm(UpdateCode.KL_TOO_HIGH, f"KL is {history[-1]['kl']:.1f} nats a sequence, beyond {most:.0f}", causes)


@UPDATES.add()
def kl_jump(history: History, limits: Limits, policy: Policy) -> Alarm | None:
    if len(history) < 2 or history[-1]["kl"] - history[-2]["kl"] <= limits.kl_jump:
        return None
    text = f"KL went from {history[-2]['kl']:.1f} to {history[-1]['kl']:.1f} nats in one update"
    return Alarm(UpdateCode.KL_JUMP, text, ("the learning rate is too high", "the weights are damaged"))


@UPDATES.add()
def kl_negative(history: History, limits: Limits, policy: Policy) -> Alarm | None:
    """KL is negative by noise alone; if it is lower, something other than the policy sampled (pitfall 39)."""
    last = history[-3:]
    if len(last) < 3 or any(metrics["kl"] >= -3 * metrics["kl_se"] - 0.01 for metrics in last):
        return None
    text = f"KL is {last[-1]['kl']:.2f} nats, and was negative in three updates"
    return Alarm(UpdateCode.KL_NEGATIVE, text, ("sampling and scoring differ", "the policy exploits the KL term"))


@UPDATES.add()
def step_too_large(history: History, limits: Limits, policy: Policy) -> Alarm | None:
    last = history[-2:]
    if len(last) < 2 or min(metrics["clip_fraction"] for metrics in last) <= limits.clip_fraction:
        return None
    text = f"{last[-1]['clip_fraction']:.0%} of the ratios are clipped in two updates"
    return Alarm(UpdateCode.STEP_TOO_LARGE, text, ("the learning rate is too high", "advantages are not whitened"))


@UPDATES.add()
def loss_spike(history: History, limits: Limits, policy: Policy) -> Alarm | None:
    before = [metrics["loss_value"] for metrics in history[-11:-1]]
    if len(before) < 5 or history[-1]["loss_value"] <= limits.loss_spike * max(median(before), 0.1):
        return None
    text = f"the value loss is {history[-1]['loss_value']:.2f}, {limits.loss_spike:.0f} times what it was"
    return Alarm(UpdateCode.LOSS_SPIKE, text, ("the learning rate is too high", "rewards changed their scale"))


def alarms(history: History, limits: Limits, policy: Policy) -> list[Alarm]:
    """Return the alarms of the last update in `history`."""
    broken = not_finite(history, limits, policy)  # then no other number means anything
    sentinels = [*UPDATES.sentinels, *RESPONSES.sentinels]
    found = [broken] if broken else [sentinel.check(history, limits, policy) for sentinel in sentinels]
    return [alarm._replace(update=len(history) - 1) for alarm in found if alarm is not None]


def worst_values(history: History) -> dict[str, float]:
    """Return the worst value of each metric that sentinels show; empty for a run from before there were sentinels."""
    shows: dict[str, Worst] = {}
    for sentinel in (*UPDATES.sentinels, *RESPONSES.sentinels):
        shows |= sentinel.shows
    if not any("score_error" in metrics for metrics in history):
        return {}
    values = {name: [metrics[name] for metrics in history if name in metrics] for name in shows}
    return {name: shows[name](found) for name, found in values.items() if found}
