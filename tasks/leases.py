"""The lease of a campaign's training, held for as long as a flow trains it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from data.console import say
from data.errors import LeaseHeld, LeaseLost
from data.paths import run_prefix
from data.runs.leases import Lease, acquire, holder, release, renew, ttl_s
from data.store import Store, open_store
from data.store.manifest import read_manifest
from data.store.user_state import username


@contextmanager
def training_lease(store_uri: str, campaign: str, run: str) -> Iterator[Lease | None]:
    """Hold the campaign's lease while a run is trained; a run that is published needs none.

    Raises LeaseHeld while another process trains the campaign.
    """
    store = open_store(store_uri)
    if read_manifest(store, run_prefix(campaign, run)) is not None:
        yield None
        return
    with _held(store, acquire(store, campaign, username(), run)) as lease:
        yield lease


@contextmanager
def round_lease(store_uri: str, campaign: str) -> Iterator[None]:
    """Hold a lease while a command runs whole rounds of a campaign; raise LeaseHeld while another command does.

    Without it two commands would sample the same questions next to each other, and only one of them would count.
    """
    store, name = open_store(store_uri), f"rounds.{campaign}"  # no campaign has a dot in its name
    try:
        lease = acquire(store, name, username())
    except LeaseHeld as refusal:
        other = holder(store, name)
        if other is None:
            raise
        raise LeaseHeld(
            f"Rounds of {campaign} in {store.uri} are run by {other.text} since {other.since}. Wait until that command "
            "has ended, or name another --store."
        ) from refusal
    with _held(store, lease):
        yield


@contextmanager
def _held(store: Store, lease: Lease) -> Iterator[Lease]:
    """Hold a lease, with a beat every fifth of the time after which a holder counts as dead, and release it."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(ttl_s() / 5):
            try:
                renew(store, lease)
            except LeaseLost as refusal:
                return say(str(refusal))
            except Exception as error:  # an unreachable store does no harm until the lease expires
                say(f"lease: no beat, {error}")

    beats = threading.Thread(target=beat, daemon=True)
    beats.start()
    try:
        yield lease
    finally:
        ended.set()
        beats.join()
        release(store, lease)
