"""Flow: build a finished run again from its manifest, and say whether its weights are the same."""

from typing import Any

from prefect import flow

from data.runs.rebuild import find_anywhere
from data.store import open_store
from flows.cancellation import check_line, stoppable
from flows.parameters import StoreUri
from tasks.rebuild import rebuild_run


@flow
@stoppable
def rebuild(run: str, store: StoreUri) -> dict[str, Any]:
    """Train a run anew beside the store, which stays as it is, and compare hashes; not while the line is stopped."""
    published = find_anywhere(open_store(store), run)
    check_line(store, published["campaign"]["name"], run)
    return rebuild_run(store, run)
