"""Which run's policy is champion: the last entry of a log that only grows, so a rollback is an entry too."""

from collections.abc import Callable, Sequence

from data.canonical import Document
from data.cord.cord import check
from data.errors import Refused
from data.paths import promotion_log_prefix
from data.runs.registry import find_run
from data.store import Store, log


def promotion_log(store: Store, campaign: str) -> list[Document]:
    """Return every decision: promote, keep (the gate did not hold for a `candidate`) and rollback. `run` is the
    champion from then on."""
    return log.entries(store, promotion_log_prefix(campaign))


def champion(store: Store, campaign: str) -> str | None:
    """Return the run whose policy the next round samples from; None means the base."""
    so_far = promotion_log(store, campaign)
    return so_far[-1]["run"] if so_far else None


def decisions_about(decisions: Sequence[Document], run: str) -> list[Document]:
    """Return what was decided about a run: promoted, not promoted, or rolled back from."""
    return [
        each
        for each in decisions
        if run in (each["run"] if each["kind"] == "promote" else None, each.get("candidate"), each.get("from"))
    ]


def opponent_of(store: Store, campaign: str, run: str) -> str | None:
    """Return the champion that a run has to beat: that of now, or the one before it where it is champion itself."""
    so_far = promotion_log(store, campaign)
    leader: str | None = so_far[-1]["run"] if so_far else None
    if leader != run:
        return leader
    before: str | None = None
    previous: str | None = None
    for entry in so_far:
        if entry["kind"] == "promote" and entry["run"] == run:
            before = previous
        previous = entry["run"]
    return before


def promote(
    store: Store, campaign: str, run: str, reason: str, further: Callable[[str | None], Document] = lambda leader: {}
) -> Document | None:
    """Make a finished run champion and return the log entry; None where it is champion already.

    `further` says what else the entry holds, from the champion of that moment; it may refuse. Raises Stopped while a
    pull stops the campaign or the run.
    """
    find_run(store, campaign, run)

    def decide(so_far: list[Document]) -> Document | None:
        leader = so_far[-1]["run"] if so_far else None
        if leader == run:
            return None
        check(store, campaign, run)
        return {"kind": "promote", "run": run, "reason": reason} | further(leader)

    return log.append(store, promotion_log_prefix(campaign), decide)


def rollback(store: Store, campaign: str, reason: str, by: str) -> Document:
    """Move the champion back to the one before it, or to the base, and return the log entry.

    Also while the line is stopped: it is what one does about a champion that went wrong.
    """
    if not reason.strip():
        raise Refused("A rollback needs a reason: say what went wrong.")

    def decide(so_far: list[Document]) -> Document:
        if not so_far or so_far[-1]["run"] is None:
            raise Refused(f"Campaign {campaign} has no champion to roll back from in {store.uri}.")
        stack: list[str | None] = [None]
        for entry in so_far:
            if entry["kind"] == "promote":
                stack.append(entry["run"])
            elif entry["kind"] == "rollback":
                stack.pop()
        stack.pop()
        return {"kind": "rollback", "run": stack[-1], "from": so_far[-1]["run"], "reason": reason, "by": by}

    entry = log.append(store, promotion_log_prefix(campaign), decide)
    assert entry is not None
    return entry
