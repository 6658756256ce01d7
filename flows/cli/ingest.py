"""Ingesting a file by hand: as a flow run where a server can show it, and at once where there is none to start for."""

import os
from pathlib import Path

from data.ingest.pipeline import IngestResult
from data.store import open_store
from flows.cli.environment import prepare
from flows.settings import configured
from tasks.ingest import ingest_delivery


def ingest_by_hand(campaign: str, store: str, file: Path, despite: str | None = None) -> IngestResult:
    """Take an answer file in for the person at the terminal, and return what it added."""
    prepare(store)
    if not os.environ.get("PREFECT_API_URL"):
        return ingest_delivery(open_store(store), configured(campaign), file, despite)[0]
    from flows.ingest_labels import ingest_labels

    return ingest_labels(campaign, store, file, despite)
