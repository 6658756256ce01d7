"""The champion: the run named by the last entry of an append-only log. A rollback is an entry too."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from data.canonical import Document
from data.cord.cord import check
from data.errors import Refused
from data.escape import is_blank
from data.paths import promotion_log_prefix
from data.runs.registry import find_run
from data.shapes import Time
from data.store import Store, log


class ObjectionEntry(TypedDict):
    """One objection of the gate against a run; data/evaluation/gate.py has the codes."""

    code: str
    about: str  # a batch, a pull, or the system that the run is compared with
    rate: list[float] | None  # win rate with the bounds of its interval


class DecisionSettings(TypedDict):
    """The settings of a campaign by which a run was decided."""

    evaluation: dict[str, Any]
    judges: dict[str, Any] | None
    promotion: dict[str, Any]


PromotionEntry = TypedDict(
    "PromotionEntry",
    {
        "kind": Literal["promote", "keep", "rollback"],
        "number": int,
        "at": Time,
        "run": str | None,  # the champion from then on; None: the base
        "reason": str,
        "by": NotRequired[str],
        "candidate": NotRequired[str],  # keep: the run that was decided about
        "from": NotRequired[str],  # rollback: the champion before
        "evaluation": NotRequired[str],  # promote, keep: prefix of the evaluation
        "against": NotRequired[list[str]],  # promote, keep: the objections in words
        "objections": NotRequired[list[ObjectionEntry]],  # promote, keep; not in older stores
        "settings": NotRequired[DecisionSettings],  # promote, keep; not in older stores
    },
)
PROMOTIONS = log.Log(PromotionEntry)


def promotion_log(store: Store, campaign: str) -> list[PromotionEntry]:
    """Return every decision, oldest first: promote, keep (the gate did not let a `candidate` pass) and rollback."""
    return PROMOTIONS.entries(store, promotion_log_prefix(campaign))


def champion(store: Store, campaign: str) -> str | None:
    """Return the run whose policy the next round samples from; None means the base."""
    entries = promotion_log(store, campaign)
    return entries[-1]["run"] if entries else None


def decisions_about(decisions: Sequence[PromotionEntry], run: str) -> list[PromotionEntry]:
    """Return the decisions about a run: promoted, not promoted, or rolled back from."""
    return [
        entry
        for entry in decisions
        if run in (entry["run"] if entry["kind"] == "promote" else None, entry.get("candidate"), entry.get("from"))
    ]


def opponent_of(store: Store, campaign: str, run: str) -> str | None:
    """Return the champion that a run has to beat: the present one, or the one before it if the run is champion."""
    entries = promotion_log(store, campaign)
    leader = entries[-1]["run"] if entries else None
    if leader != run:
        return leader
    before: str | None = None
    previous: str | None = None
    for entry in entries:
        if entry["kind"] == "promote" and entry["run"] == run:
            before = previous
        previous = entry["run"]
    return before


def promote(
    store: Store, campaign: str, run: str, reason: str, further: Callable[[str | None], Document] = lambda leader: {}
) -> PromotionEntry | None:
    """Make a finished run champion and return the log entry; None if it is champion already.

    `further` returns the rest of the entry from the champion of that moment; it may refuse. Raises Stopped while a
    pull stops the campaign or the run.
    """
    find_run(store, campaign, run)

    def decide(entries: list[PromotionEntry]) -> Document | None:
        leader = entries[-1]["run"] if entries else None
        if leader == run:
            return None
        check(store, campaign, run)
        return {"kind": "promote", "run": run, "reason": reason} | further(leader)

    return PROMOTIONS.append(store, promotion_log_prefix(campaign), decide)


def rollback(store: Store, campaign: str, reason: str, by: str) -> PromotionEntry:
    """Move the champion back to the one before it, or to the base, and return the log entry.

    This also works while the line is stopped, because it is the remedy for a bad champion.
    """
    if is_blank(reason):
        raise Refused("A rollback needs a reason. Write what went wrong after --reason.")

    def decide(entries: list[PromotionEntry]) -> Document:
        if not entries or entries[-1]["run"] is None:
            raise Refused(f"Campaign {campaign} has no champion in {store.uri}, so there is nothing to roll back.")
        stack: list[str | None] = [None]
        for entry in entries:
            if entry["kind"] == "promote":
                stack.append(entry["run"])
            elif entry["kind"] == "rollback":
                stack.pop()
        stack.pop()
        return {"kind": "rollback", "run": stack[-1], "from": entries[-1]["run"], "reason": reason, "by": by}

    entry = PROMOTIONS.append(store, promotion_log_prefix(campaign), decide)
    assert entry is not None
    return entry
