"""The Andon cord: a pull stops the line, a release (by a person, with a reason) lets it continue.

Both are entries of one log in the store (data/cord/entries.py). A pull is written to the spool of this machine first.
What waits there goes into the log at the next look at the cord from this machine, once, because every pull has an id.
"""

from collections.abc import Callable
from threading import Thread

from data.canonical import Document, plain
from data.cord import spool
from data.cord.courier import Courier
from data.cord.entries import CORD, EVERYTHING, LONGEST, CordEntry, Pull, Pulled, history, ids, new_pull, stopped_by
from data.cord.webhook import notify
from data.errors import Refused, Unavailable
from data.escape import is_blank, one_line
from data.paths import CORD_LOG
from data.store import Store
from data.store.user_state import local_state


def pull(
    store: Store,
    reason: str,
    *,
    by: str,
    scope: str = EVERYTHING,
    evidence: Document | None = None,
    courier: Courier | None = None,
) -> Pull:
    """Stop what `scope` names, and return the pull: durable in the store, or in the spool if the store is out of reach.

    With a courier the call returns within seconds even if the store hangs; the courier then hands the pull on. Raises
    Refused without a reason, for a scope that does not exist, or if nothing at all can be written.
    """
    made = new_pull(reason, by, scope, evidence or {})
    spooled = spool.keep(store, made)
    failure: Exception | None = None
    try:
        made = made._replace(number=courier.hand_on(made) if courier else spool.hand_on(store, made))
    except Exception as error:  # whatever keeps the store from taking it must not cost the pull
        failure = error
    if made.spooled and not spooled:
        trying = "" if courier is None else " This process still tries to hand it on."
        raise Refused(
            f"The pull is NOT recorded: neither {store.uri} ({failure or 'no answer'}) nor {local_state().uri} can be "
            f"written.{trying} Stop the training by hand."
        ) from failure
    notice = f"{made.pull} by {one_line(made.by)} ({scope}): {one_line(made.reason)}"
    if courier is None:
        notify("stop", notice, {"pull": made.pull})
    else:  # the answer does not wait for the pager, and the process does
        Thread(target=notify, args=("stop", notice, {"pull": made.pull})).start()
    return made


def release(store: Store, pull_id: str, *, by: str, reason: str) -> None:
    """Release one pull; raise Refused if it does not exist, or is released already."""
    _release(store, by, reason, lambda pulls: [_releasable(store, pulls, pull_id).pull])


def release_pulls_by(store: Store, person: str, *, by: str, reason: str) -> list[str]:
    """Release all open pulls of a person together, and return their ids; raise Refused if there are none."""
    released: list[str] = []

    def choose(pulls: list[Pulled]) -> list[str]:
        still = [each.pull for each in pulls if each.release is None]
        released[:] = [made.pull for made in still if made.by == person]
        if not released:
            others = ", ".join(sorted({one_line(made.by)[:80] for made in still})[:10]) or "nobody"
            name = one_line(person)[:80]
            raise Refused(f"There is no open pull by {name} in {store.uri}. There are open pulls by {others}.")
        return released

    _release(store, by, reason, choose)
    return released


def _release(store: Store, by: str, reason: str, choose: Callable[[list[Pulled]], list[str]]) -> None:
    """Append a release of the pulls that `choose` finds among all."""
    if is_blank(reason):
        raise Refused("A release needs a reason. Say what you found.")
    replay(store)

    def decide(so_far: list[CordEntry]) -> Document:
        pulls = choose(history(so_far))
        return {"kind": "release", "pulls": pulls, "by": plain(by), "reason": plain(reason.strip()[:LONGEST])}

    CORD.append(store, CORD_LOG, decide)


def _releasable(store: Store, pulls: list[Pulled], pull_id: str) -> Pull:
    for each in pulls:
        if each.pull.pull != pull_id:
            continue
        if (earlier := each.release) is None:
            return each.pull
        raise Refused(f"{pull_id} is released already, by {earlier.by} at {earlier.at}: {one_line(earlier.reason)}.")
    still = ids([each.pull.pull for each in pulls if each.release is None]) or "none"
    raise Refused(f"There is no pull {one_line(pull_id)[:80]} in {store.uri}. Open pulls: {still}.")


def pulls(store: Store) -> list[Pulled]:
    """Return all pulls, oldest first, with their releases; those that wait in this machine's spool count too."""
    waiting = replay(store)
    recorded = history(CORD.entries(store, CORD_LOG))
    known = {each.pull.pull for each in recorded}
    return recorded + [Pulled(made, None) for made in waiting if made.pull not in known]


def open_pulls(store: Store, campaign: str | None = None, run: str | None = None) -> list[Pull]:
    """Return the unreleased pulls that stop this campaign or run; all of them if neither is named."""
    still = [each.pull for each in pulls(store) if each.release is None]
    return still if campaign is None and run is None else [made for made in still if made.stops(campaign, run)]


def check(store: Store, campaign: str | None = None, run: str | None = None) -> None:
    """Raise Stopped if an unreleased pull stops this campaign or run, also if only this machine knows it yet."""
    try:
        still = open_pulls(store, campaign, run)
    except (Unavailable, OSError):
        waiting = [made for made in spool.waiting(store) if campaign is run is None or made.stops(campaign, run)]
        if not waiting:
            raise
        still = waiting
    if still:
        raise stopped_by(still)


def replay(store: Store) -> list[Pull]:
    """Put this machine's spooled pulls into the store's log; return those that the store still does not take."""
    waiting = spool.waiting(store)
    for number, made in enumerate(waiting):
        try:
            spool.hand_on(store, made)
        except Exception:  # as in `pull`: it stays spooled, and counts; the store is not asked about the others either
            return waiting[number:]
    return []
