"""Flow: take one delivered answer file into the labels of a campaign."""

from pathlib import Path

from prefect import flow

from data.labels import Ingested
from flows.settings import configured
from tasks.labels import ingest_file


@flow
def ingest_labels(campaign: str, store: str, delivery: Path) -> Ingested:
    """Validate a file and commit what it adds; the same file again adds nothing."""
    return ingest_file(store, configured(campaign).name, delivery)
