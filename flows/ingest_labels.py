"""Flows: add labels to a campaign, from a vendor's answer file or from published labels."""

from pathlib import Path

from prefect import flow

from data.ingest.pipeline import IngestResult
from flows.cancellation import stoppable
from flows.parameters import CampaignOrAll, StoreUri
from flows.settings import configured
from tasks.inbox import ingest_waiting
from tasks.labels import ingest_file


@flow
def ingest_labels(campaign: str, store: str, delivery: Path, despite: str | None = None) -> IngestResult:
    """Validate a file and commit what it adds; the same file again adds nothing.

    `despite` is a person's reason to accept a file whose answers look wrong.
    """
    return ingest_file(store, configured(campaign), delivery, despite)


@flow
def ingest_inbox(store: StoreUri, campaign: CampaignOrAll = None) -> int:
    """Ingest the pending files of the inbox, and return how many were ingested."""
    return ingest_waiting(store, campaign)


@flow
@stoppable
def import_labels(
    campaign: str, store: str, file: Path, base: str | None = None, preset: str | None = None
) -> IngestResult:
    """Import a label file that was published with the paper of 2019; the same file again adds nothing."""
    from tasks.imports import import_published  # needs torch, which ingesting does not

    return import_published(store, configured(campaign, preset, base=base), file)
