"""Which run's policy is champion: the last entry of a log that only grows, so a rollback is an entry too."""

from collections.abc import Callable, Sequence

from data import log
from data.canonical import Document
from data.cord import check
from data.publication import Publication, read_manifest
from data.refused import Refused
from data.store import Store, folders, is_key


def run_prefix(campaign: str, run: str) -> str:
    return f"campaigns/{campaign}/runs/{run}"


def runs(store: Store, campaign: str) -> list[Publication]:
    """Return the finished runs of a campaign, oldest first."""
    prefix = f"campaigns/{campaign}/runs"
    found = [read_manifest(store, f"{prefix}/{run}") for run in folders(store, prefix)]
    return sorted((run for run in found if run is not None), key=lambda run: (run.manifest["ended"], run["run"]))


def find_run(store: Store, campaign: str, run: str) -> Publication:
    """Return a finished run; raise Refused where there is none of that id."""
    prefix = run_prefix(campaign, run)
    published = read_manifest(store, prefix) if is_key(prefix) else None
    if published is None:
        offered = ", ".join(r["run"] for r in runs(store, campaign)) or "none yet"
        raise Refused(f"Campaign {campaign} has no finished run {run} in {store.uri}; it has: {offered}.")
    return published


def policy_of(store: Store, campaign: str, run: str) -> Publication:
    """Return the published policy of a finished run."""
    published = read_manifest(store, find_run(store, campaign, run).manifest["inputs"]["policy"])
    assert published is not None
    return published


def log_of(campaign: str) -> str:
    return f"campaigns/{campaign}/promotions/log"


def history(store: Store, campaign: str) -> list[Document]:
    """Return every decision: promote, keep (the gate did not hold for a `candidate`) and rollback. `run` is the
    champion from then on."""
    return log.entries(store, log_of(campaign))


def champion(store: Store, campaign: str) -> str | None:
    """Return the run whose policy the next round samples from; None means the base."""
    so_far = history(store, campaign)
    return so_far[-1]["run"] if so_far else None


def about(decisions: Sequence[Document], run: str) -> list[Document]:
    """Return what was decided about a run: promoted, not promoted, or rolled back from."""
    return [
        each
        for each in decisions
        if run in (each["run"] if each["kind"] == "promote" else None, each.get("candidate"), each.get("from"))
    ]


def rival(store: Store, campaign: str, run: str) -> str | None:
    """Return the champion that a run has to beat: that of now, or the one before it where it is champion itself."""
    so_far = history(store, campaign)
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

    return log.append(store, log_of(campaign), decide)


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

    entry = log.append(store, log_of(campaign), decide)
    assert entry is not None
    return entry
