"""The lease of a campaign's training, held for as long as a flow trains it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from data.console import say
from data.errors import LeaseLost
from data.paths import run_prefix
from data.runs.leases import Lease, acquire, release, renew, ttl_s
from data.store import open_store
from data.store.manifest import read_manifest
from data.store.user_state import username


@contextmanager
def training_lease(store_uri: str, campaign: str, run: str) -> Iterator[Lease | None]:
    """Hold the campaign's lease, with a beat every fifth of the time after which a holder counts as dead.

    A run that is published needs none. Raises LeaseHeld while another process trains the campaign.
    """
    store = open_store(store_uri)
    if read_manifest(store, run_prefix(campaign, run)) is not None:
        yield None
        return
    lease = acquire(store, campaign, username(), run)
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
