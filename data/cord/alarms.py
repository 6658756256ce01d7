"""Alarms: what a sentinel reports, under a code that never changes.

Codes are stored in the log of the cord. The text beside a code is for people: it may be reworded, and no code reads it.
A sentinel's file lists the codes of its own alarms.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from typing_extensions import TypedDict

from data.campaign.settings import Policy
from data.cord.limits import Limits

History = Sequence[Mapping[str, float]]  # the metrics of every update so far
Worst = Callable[[Sequence[float]], float]  # min or max: which value of a metric is the worst of all updates
BY = "sentinel:"  # in the log, a sentinel's pull is by `sentinel:CODE`

# Names that older logs have in place of a code.
OLD_CODES = {
    "not finite": "not-finite",
    "ratio not 1": "ratio-not-1",
    "KL at the start": "kl-at-start",
    "KL too high": "kl-too-high",
    "KL jumps": "kl-jump",
    "KL negative": "kl-negative",
    "reference moves": "reference-moved",
    "step too large": "step-too-large",
    "loss spike": "loss-spike",
    "value loss negative": "value-loss-negative",
    "invalid responses": "invalid-responses",
    "entropy collapse": "entropy-collapse",
    "all responses alike": "responses-alike",
    "length drifts": "length-drift",
    "paid otherwise": "reward-mismatch",
    "scored otherwise": "score-mismatch",
    "score falls": "score-falls",
    "goes elsewhere": "update-misaligned",
    "other price": "kl-coefficient-mismatch",
    "other queries": "other-queries",
    "unlike the base": "unlike-base",
    "no better than chance": "no-better-than-chance",
    "too good to be true": "too-good",
    "self-test": "preflight",
}


class Evidence(TypedDict):
    """What a sentinel's pull stores beside its reason."""

    sentinel: str  # the code
    found: str
    update: int
    causes: list[str]


class Alarm(NamedTuple):
    """A reason to stop: the code of the sentinel, what it measured, and the likely causes in words."""

    code: StrEnum
    text: str
    causes: tuple[str, ...]
    update: int = -1  # -1: before the first update

    def evidence(self) -> Evidence:
        return Evidence(sentinel=str(self.code), found=self.text, update=self.update, causes=list(self.causes))

    def reason(self) -> str:
        """Return the alarm as a person reads it in the log."""
        return f"{self.code.replace('-', ' ')}: {self.text}. Likely: {'; '.join(self.causes)}"


def code_of(by: str) -> str | None:
    """Return the code of the sentinel that pulled, also from an old log; None if a person pulled."""
    if not by.startswith(BY):
        return None
    name = by.removeprefix(BY)
    return OLD_CODES.get(name, name)


Check = Callable[[History, Limits, Policy], Alarm | None]


class Sentinel(NamedTuple):
    """A check of every update, and the metrics of which the report shows the worst value."""

    check: Check
    shows: Mapping[str, Worst]


class SentinelList:
    """The sentinels of one file, in the order in which they are defined."""

    def __init__(self) -> None:
        self.sentinels: list[Sentinel] = []

    def add(self, **shows: Worst) -> Callable[[Check], Check]:
        """Decorate a check: it runs after every update, and the report shows the worst of the metrics that it names."""

        def register(check: Check) -> Check:
            self.sentinels.append(Sentinel(check, shows))
            return check

        return register
