"""Flow: train a finished run again from its manifest, and compare the weights."""

from prefect import flow

from data.runs.rebuild import find_anywhere
from data.store import open_store
from flows.cancellation import check_line, stoppable
from flows.parameters import StoreUri
from tasks.rebuild import RebuildResult, rebuild_run


@flow
@stoppable
def rebuild(run: str, store: StoreUri) -> RebuildResult:
    """Train a run again in a scratch store and compare hashes; the store does not change. A stopped line refuses."""
    published = find_anywhere(open_store(store), run)
    check_line(store, published["campaign"]["name"], run)
    return rebuild_run(store, run)
