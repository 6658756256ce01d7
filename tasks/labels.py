"""Prefect tasks of the labels: take a delivery in, or let simulated labelers answer."""

import tempfile
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from data.campaign import Campaign
from data.labels import Ingested, deliveries, freeze, ingest
from data.refused import Refused
from data.simulated import write_answers
from data.store import open_store
from tasks.batches import vendor_files
from tasks.stage import say


@task(cache_policy=NO_CACHE)
def ingest_file(store_uri: str, campaign: str, delivery: Path) -> Ingested:
    """Validate one answer file and commit what it adds."""
    with tempfile.TemporaryDirectory() as scratch:
        outcome = ingest(open_store(store_uri), campaign, delivery, Path(scratch))
    say(
        f"labels: {outcome.accepted:,} accepted, {outcome.quarantined:,} quarantined, "
        f"{outcome.duplicates:,} duplicates from {delivery.name}"
    )
    return outcome


@task(cache_policy=NO_CACHE)
def answer_batch(store_uri: str, campaign: Campaign, batch_id: str, folder: Path) -> Path | None:
    """Let the campaign's simulated labelers answer a batch; None where it has labels already."""
    if any(entry["batch"] == batch_id for entry in deliveries(open_store(store_uri), campaign.name)):
        return None
    assert campaign.labelers is not None
    say(f"labels: {campaign.labelers.count} simulated labelers answer batch {batch_id}")
    questions = vendor_files(store_uri, campaign.name, batch_id)
    return write_answers(campaign.labelers, questions, folder / f"answers-{batch_id}.parquet")


@task(cache_policy=NO_CACHE)
def freeze_labels(store_uri: str, campaign: str, through_round: int | None) -> str:
    """Freeze the accepted labels into a label set and return its id."""
    label_set = freeze(open_store(store_uri), campaign, through_round)
    if label_set is None:
        raise Refused(f"Campaign {campaign} has no labels in {store_uri}: export a batch and ingest its answers first.")
    return label_set
