"""Sentinels of the responses: whether the policy still writes valid, varied texts of about the same length."""

import math
from enum import StrEnum
from statistics import fmean

from data.campaign.settings import Policy
from data.cord.alarms import Alarm, History, SentinelList
from data.cord.limits import Limits


class ResponseCode(StrEnum):
    INVALID_RESPONSES = "invalid-responses"
    ENTROPY_COLLAPSE = "entropy-collapse"
    REPETITION = "repetition"
    RESPONSES_ALIKE = "responses-alike"
    LENGTH_DRIFT = "length-drift"


RESPONSES = SentinelList()
CERTAIN_SE = 4.0  # standard errors that are no chance
FEW = 8  # valid responses, whose mean length says nothing


@RESPONSES.add()
def few_valid(history: History, limits: Limits, policy: Policy) -> Alarm | None:
    """Valid responses must not become much rarer, by more than chance: few of few say nothing."""
    left = _share_left(history, "valid", limits.valid_share)
    first, last = history[0]["valid"], [metrics["valid"] for metrics in history[-2:]]
    share = fmean([first, *last])
    error = math.sqrt(share * (1 - share) * (1 + 1 / len(last)) / policy.batch)
    if left is None or first - fmean(last) <= CERTAIN_SE * error:
        return None
    causes = ("invalid responses are not penalised", "the policy learned from a wrong sign")
    return Alarm(ResponseCode.INVALID_RESPONSES, f"only {left:.0%} of the first valid ones are left", causes)


@RESPONSES.add()
def entropy_collapse(history: History, limits: Limits, policy: Policy) -> Alarm | None:
    left = _share_left(history, "entropy", limits.entropy_share)
    if left is None:
        return None
    causes = ("the KL coefficient is too small", "one response has a higher reward than all others")
    return Alarm(ResponseCode.ENTROPY_COLLAPSE, f"only {left:.0%} of the first entropy is left", causes)


@RESPONSES.add()
def repetition(history: History, limits: Limits, policy: Policy) -> Alarm | None:
    left = _share_left(history, "distinct_1", limits.distinct_share)
    if left is None:
        return None
    text = f"only {left:.0%} of the first share of different tokens in a response is left"
    return Alarm(ResponseCode.REPETITION, text, ("the policy found a text that the reward model overrates",))


@RESPONSES.add()
def sameness(history: History, limits: Limits, policy: Policy) -> Alarm | None:
    if len(history) == 1 and history[0].get("distinct_responses", 1.0) <= 0.5:
        text = f"only {history[0]['distinct_responses']:.0%} of the base's responses differ from each other"
        return Alarm(ResponseCode.RESPONSES_ALIKE, text, ("responses or processes share their random numbers",))
    left = _share_left(history, "distinct_responses", limits.distinct_share)
    if left is None:
        return None
    causes = ("the policy found a text that the reward model overrates", "processes share their seed")
    return Alarm(
        ResponseCode.RESPONSES_ALIKE, f"only {left:.0%} of the first share of different responses is left", causes
    )


@RESPONSES.add()
def length_drift(history: History, limits: Limits, policy: Policy) -> Alarm | None:
    """The mean length must not come near an end of its range, if it was not there at first."""
    ends = [history[0], *history[-2:]]
    if len(history) < 2 or min(metrics["valid"] for metrics in ends) * policy.batch < FEW:
        return None
    first, *last = (metrics["length"] for metrics in ends)
    longer, shorter = limits.length_room * (limits.longest - first), limits.length_room * (first - limits.shortest)
    if min(last) <= first + max(longer, 1) and max(last) >= first - max(shorter, 1):
        return None
    text = f"responses have {history[-1]['length']:.1f} tokens, at first {history[0]['length']:.1f}"
    causes = ("the reward model rewards length", "truncation is at the wrong place")
    return Alarm(ResponseCode.LENGTH_DRIFT, text, causes)


def _share_left(history: History, metric: str, allowed: float) -> float | None:
    """Return which share of a metric's first value is left, if less than the allowed share in the last two updates."""
    first, last = history[0][metric], [metrics[metric] for metrics in history[-2:]]
    if len(history) < 3 or first <= 0 or max(last) >= allowed * first:
        return None
    return last[-1] / first
