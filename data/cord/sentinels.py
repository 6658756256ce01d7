"""Sentinels: what a training's own numbers say when something is wrong, and what has then usually happened.

Each is a pure function of the metrics of the updates so far (models/ppo/train.py, and the second opinion of
models/monitoring/monitor.py) and the campaign's thresholds; it returns an Alarm or None. The curves of the 2019 bug
looked healthy: its reward and its KL were those of a good run. What shows it is a score that does not go through the
trainer's code, and whether the policy goes where that score points.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median
from typing import NamedTuple

from data.campaign.settings import Policy, Sentinels
from data.canonical import Document

History = Sequence[Mapping[str, float]]


class Alarm(NamedTuple):
    """A reason to stop: which sentinel, what it saw, and the likely causes in words."""

    sentinel: str
    found: str
    causes: tuple[str, ...]
    update: int = -1  # before the first, where it was seen there

    def evidence(self) -> Document:
        return {"sentinel": self.sentinel, "found": self.found, "update": self.update, "causes": list(self.causes)}


Check = Callable[[History, Sentinels, Policy], Alarm | None]


def not_finite(history: History, limits: Sentinels, policy: Policy) -> Alarm | None:
    bad = sorted(name for name, value in history[-1].items() if not math.isfinite(value))
    if not bad:
        return None
    return Alarm("not finite", f"{', '.join(bad)} is not a number", ("the learning rate is too high", "a bad reward"))


def ratio_not_1(history: History, limits: Sentinels, policy: Policy) -> Alarm | None:
    """The first pass over a rollout must find the probabilities that sampled it (pitfalls 15 and 34)."""
    error = history[-1].get("ratio_error", 0.0)
    if error <= limits.ratio_error:
        return None
    causes = ("dropout is on", "sampling and training use different temperatures", "padding or positions differ")
    return Alarm("ratio not 1", f"the first ratio is off 1 by {error:.3f} on average", causes)


def kl_at_start(history: History, limits: Sentinels, policy: Policy) -> Alarm | None:
    """The policy starts as its reference, so the first KL is 0 up to rounding."""
    kl = history[0]["kl"]
    if len(history) > 1 or abs(kl) <= limits.first_kl:
        return None
    causes = ("the reference is another model", "temperature is missing in the reference", "affixes differ")
    return Alarm("KL at the start", f"KL to the base is {kl:.2f} nats before anything was trained", causes)


def kl_too_high(history: History, limits: Sentinels, policy: Policy) -> Alarm | None:
    most = limits.kl_most if policy.kl_target is None else max(limits.kl_targets * policy.kl_target, limits.kl_least)
    if len(history) < 2 or min(m["kl"] for m in history[-2:]) <= most:
        return None
    causes = ("KL is rewarded instead of paid for", "the coefficient does not adapt", "the learning rate is too high")
    return Alarm("KL too high", f"KL is {history[-1]['kl']:.1f} nats a sequence, beyond {most:.0f}", causes)


def kl_jump(history: History, limits: Sentinels, policy: Policy) -> Alarm | None:
    if len(history) < 2 or history[-1]["kl"] - history[-2]["kl"] <= limits.kl_jump:
        return None
    found = f"KL went from {history[-2]['kl']:.1f} to {history[-1]['kl']:.1f} nats in one update"
    return Alarm("KL jumps", found, ("the learning rate is too high", "the weights are damaged"))


def kl_negative(history: History, limits: Sentinels, policy: Policy) -> Alarm | None:
    """KL is never negative but for noise; below it, something other than the policy sampled (pitfall 39)."""
    last = history[-3:]
    if len(last) < 3 or any(m["kl"] >= -3 * m["kl_se"] - 0.01 for m in last):
        return None
    found = f"KL is {last[-1]['kl']:.2f} nats, and was negative in three updates"
    return Alarm("KL negative", found, ("sampling and scoring differ", "the policy farms the KL term"))


def reference_moves(history: History, limits: Sentinels, policy: Policy) -> Alarm | None:
    """A policy that moved has left its reference, unless the reference moved along (pitfall 42)."""
    if len(history) < 2 or history[-2]["approx_kl"] < 1e-6 or abs(history[-1]["kl"]) > 1e-6:
        return None
    return Alarm("reference moves", "the policy moved and KL stayed 0", ("the reference shares the policy's weights",))


def step_too_large(history: History, limits: Sentinels, policy: Policy) -> Alarm | None:
    last = history[-2:]
    if len(last) < 2 or min(m["clip_fraction"] for m in last) <= limits.clip_fraction:
        return None
    found = f"{last[-1]['clip_fraction']:.0%} of the ratios are clipped in two updates"
    return Alarm("step too large", found, ("the learning rate is too high", "advantages are not whitened"))


def loss_spike(history: History, limits: Sentinels, policy: Policy) -> Alarm | None:
    before = [m["loss_value"] for m in history[-11:-1]]
    if len(before) < 5 or history[-1]["loss_value"] <= limits.loss_spike * max(median(before), 0.1):
        return None
    found = f"the value loss is {history[-1]['loss_value']:.2f}, {limits.loss_spike:.0f} times what it was"
    return Alarm("loss spike", found, ("the learning rate is too high", "rewards changed their scale"))


def few_valid(history: History, limits: Sentinels, policy: Policy) -> Alarm | None:
    return _fell(history, "valid", limits.valid_share, "invalid responses", "of the first valid ones are left", (
        "invalid responses are not penalised", "the policy learned from a wrong sign",
    ))  # fmt: skip


def entropy_collapse(history: History, limits: Sentinels, policy: Policy) -> Alarm | None:
    return _fell(history, "entropy", limits.entropy_share, "entropy collapse", "of the first entropy is left", (
        "the KL coefficient is too small", "one response pays more than all others",
    ))  # fmt: skip


def repetition(history: History, limits: Sentinels, policy: Policy) -> Alarm | None:
    return _fell(history, "distinct_1", limits.distinct_share, "repetition",
                 "of the first share of different tokens in a response is left",
                 ("the policy found a text that the reward model overrates",))  # fmt: skip


def sameness(history: History, limits: Sentinels, policy: Policy) -> Alarm | None:
    if len(history) == 1 and history[0].get("distinct_responses", 1.0) <= 0.5:
        found = f"only {history[0]['distinct_responses']:.0%} of the base's responses differ from each other"
        return Alarm("all responses alike", found, ("responses or processes share their random numbers",))
    return _fell(history, "distinct_responses", limits.distinct_share, "all responses alike",
                 "of the first share of different responses is left",
                 ("the policy found a text that the reward model overrates", "processes share their seed"))  # fmt: skip


def length_drift(history: History, limits: Sentinels, policy: Policy) -> Alarm | None:
    if len(history) < 2 or not history[0]["length"]:
        return None
    change = [m["length"] / history[0]["length"] for m in history[-2:]]
    if min(change) > limits.length_factor or max(change) < 1 / limits.length_factor:
        found = f"responses have {history[-1]['length']:.1f} tokens, at first {history[0]['length']:.1f}"
        return Alarm("length drifts", found, ("the reward model pays for length", "truncation is at the wrong place"))
    return None


def paid_otherwise(history: History, limits: Sentinels, policy: Policy) -> Alarm | None:
    """What PPO is paid must be what scores and KL, computed on the side, come to (pitfalls 1 to 6 and 37)."""
    error = history[-1].get("paid_error", 0.0)
    if error <= limits.paid_error:
        return None
    causes = ("the reward's sign is flipped", "KL is rewarded", "the score is paid at another index")
    return Alarm("paid otherwise", f"rewards of tokens are off by {error:.4f} from score minus the price of KL", causes)


def scored_otherwise(history: History, limits: Sentinels, policy: Policy) -> Alarm | None:
    """The published reward model, in another process and by plain code, must give the scores that PPO used."""
    error = history[-1].get("score_error", 0.0)
    if error <= limits.score_error:
        return None
    causes = (
        "the trainer uses another reward model than the published one",
        "the score is read at another token",
        "padding changes scores",
    )
    return Alarm("scored otherwise", f"scores are off by {error:.3f} from the published reward model's", causes)


def score_falls(history: History, limits: Sentinels, policy: Policy) -> Alarm | None:
    """Two updates in a row whose valid responses score far below the base's, by the second opinion."""
    last = [m.get("base_gap", 0.0) for m in history[-2:]]
    if len(last) < 2 or max(last) >= -limits.score_falls_se:
        return None
    found = f"responses score {-last[-1]:.1f} standard errors below the base's, two updates in a row"
    return Alarm("score falls", found, ("the reward's sign is flipped", "the reward model was trained backwards"))


def goes_elsewhere(history: History, limits: Sentinels, policy: Policy) -> Alarm | None:
    """What an update makes likelier must be what earned more: score less the price of KL, computed on the side."""
    known = [m["followed"] for m in history if "followed" in m]
    if policy.epochs == 1 or "followed" not in history[-1]:  # with one pass, what moved is not measured after it
        return None
    opposed, unrelated = fmean(known[-3:]), fmean(known[-5:])
    causes = ("the sign of reward, advantage or loss is flipped", "rows are mixed up")
    if len(known) >= 3 and opposed < -limits.followed_se / math.sqrt(3 * policy.batch):
        found = f"responses that earned more became less likely (correlation {opposed:+.2f} over three updates)"
    elif len(known) >= 5 and unrelated < limits.followed_se / math.sqrt(5 * policy.batch):
        found = f"what becomes likelier is not what earned more (correlation {unrelated:+.2f} over five updates)"
    else:
        return None
    return Alarm("goes elsewhere", found, causes)


def other_price(history: History, limits: Sentinels, policy: Policy) -> Alarm | None:
    """The price of KL must be what the last one and its KL make of it (pitfall 5)."""
    if len(history) < 2 or "kl_coefficient" not in history[-2]:
        return None
    before, kl = history[-2]["kl_coefficient"], history[-2]["kl"]
    error = 0.0 if policy.kl_target is None else min(max(kl / policy.kl_target - 1, -0.2), 0.2)
    should = before * (1 + error * policy.batch / policy.kl_horizon)
    if math.isclose(history[-1]["kl_coefficient"], should, rel_tol=1e-6):
        return None
    found = f"the price of KL is {history[-1]['kl_coefficient']:.5f}, and {should:.5f} by the last update"
    return Alarm("other price", found, ("the controller is turned round", "KL or batch are counted otherwise"))


def other_queries(history: History, limits: Sentinels, policy: Policy) -> Alarm | None:
    """Rollouts answer the campaign's training queries, read as the campaign says (pitfalls 19 and 20)."""
    if not history[-1].get("other_queries"):
        return None
    found = f"{history[-1]['other_queries']:.0f} queries of a rollout are not the campaign's, or are read otherwise"
    return Alarm("other queries", found, ("queries of another split", "affixes are missing or reach the reward model"))


def value_loss_negative(history: History, limits: Sentinels, policy: Policy) -> Alarm | None:
    if history[-1]["loss_value"] >= 0:
        return None
    found = f"the value loss, a mean of squares, is {history[-1]['loss_value']:.2f}"
    return Alarm("value loss negative", found, ("the sign of the value loss is flipped",))


CHECKS: tuple[Check, ...] = (
    ratio_not_1, kl_at_start, paid_otherwise, scored_otherwise, score_falls, goes_elsewhere,
    other_price, other_queries, value_loss_negative,
    reference_moves, kl_too_high, kl_jump, kl_negative, step_too_large, loss_spike, few_valid, entropy_collapse,
    repetition, sameness, length_drift,
)  # fmt: skip


def alarms(history: History, limits: Sentinels, policy: Policy) -> list[Alarm]:
    """Return what the sentinels say after the last update in `history`."""
    broken = not_finite(history, limits, policy)  # then no other number means anything
    found = [broken] if broken else [check(history, limits, policy) for check in CHECKS]
    return [alarm._replace(update=len(history) - 1) for alarm in found if alarm is not None]


def _fell(
    history: History, metric: str, share: float, sentinel: str, words: str, causes: tuple[str, ...]
) -> Alarm | None:
    """Compare the last two updates with the first."""
    first, last = history[0][metric], [m[metric] for m in history[-2:]]
    if len(history) < 3 or first <= 0 or max(last) >= share * first:
        return None
    return Alarm(sentinel, f"only {last[-1] / first:.0%} {words}", causes)
