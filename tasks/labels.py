"""Prefect tasks of the labels: take a delivery in, or let simulated labelers answer."""

from pathlib import Path
from typing import cast

from prefect import task
from prefect.cache_policies import NO_CACHE

from data.campaign import Campaign
from data.canonical import Document
from data.console import say
from data.errors import Refused
from data.escape import shown_name
from data.ingest.pipeline import IngestResult
from data.labels.decisions import batch_statuses
from data.labels.label_sets import freeze
from data.labels.table import deliveries
from data.paths import run_prefix
from data.quality.assess_batch import assess_pending
from data.rounds.changes import decide_changes, describe_changes
from data.runs.champion import decisions_about, promotion_log
from data.runs.registry import runs
from data.simulation.labelers import write_answers
from data.store import open_store
from data.store.manifest import read_manifest
from data.store.user_state import username
from tasks.artifacts import show_ingested
from tasks.ingest import ingest_delivery


@task(cache_policy=NO_CACHE)
def ingest_file(store_uri: str, campaign: Campaign, delivery: Path, despite: str | None = None) -> IngestResult:
    """Take one answer file in (tasks/ingest.py), and show what came of it on the page of the flow run."""
    store = open_store(store_uri)
    outcome, report = ingest_delivery(store, campaign, delivery, despite)
    show_ingested(store, campaign.name, shown_name(delivery.name), outcome, report)
    return outcome


@task(cache_policy=NO_CACHE)
def answer_batch(store_uri: str, campaign: Campaign, batch_id: str, folder: Path) -> Path | None:
    """Let the campaign's simulated labelers answer a batch; None where it has labels already."""
    if any(entry["batch"] == batch_id for entry in deliveries(open_store(store_uri), campaign.name)):
        return None
    assert campaign.labelers is not None
    from tasks.batches import vendor_files

    say(f"labels: {campaign.labelers.count} simulated labelers answer batch {batch_id}")
    questions = vendor_files(store_uri, campaign.name, batch_id)
    return write_answers(campaign.labelers, questions, folder / f"answers-{batch_id}.parquet")


@task(cache_policy=NO_CACHE)
def check_decided(store_uri: str, campaign: str, batch: str) -> None:
    """Raise Refused where no label of a batch counts until a person decides: on older ones a round would be none."""
    status = batch_statuses(open_store(store_uri), campaign).get(batch)
    if status is None or status.by_person or status.counts:
        return
    raise Refused(
        f"The labels of batch {batch} wait for a decision: {status.why}. Look at what was found, then: "
        f"andon decide {campaign} {batch} accept --reason ...   (or reject), and the same command again."
    )


@task(cache_policy=NO_CACHE)
def check_changes(
    store_uri: str, campaign: Campaign, label_set: str, run: str, despite: str | None, by: str | None
) -> Document | None:
    """Raise Refused if the campaign asks something else than when its labels were asked for, and nobody decided.

    Return the decision, which the run records. A finished run is not decided about again.
    """
    store = open_store(store_uri)
    if read_manifest(store, run_prefix(campaign.name, run)) is not None:
        return None
    decision = decide_changes(store, campaign, label_set, despite, by or username())
    if decision is not None:
        say(f"labels: the campaign changed since they were asked for: {describe_changes(decision['changes'])}")
        say(f"labels: used all the same, by decision of {decision['by']}: {decision['reason']}")
    return cast(Document | None, decision)


@task(cache_policy=NO_CACHE)
def check_changes_before_asking(store_uri: str, campaign: Campaign, despite: str | None, by: str | None) -> None:
    """Raise Refused if the next retrain would refuse the labels so far: people would be asked in vain."""
    store = open_store(store_uri)
    if (label_set := freeze(store, campaign.name)) is not None:
        decide_changes(store, campaign, label_set, despite, by or username())


@task(cache_policy=NO_CACHE)
def labels_are_new(store_uri: str, campaign: str) -> bool:
    """Whether labels count that no finished run was trained on, or none that the gate has decided about."""
    store = open_store(store_uri)
    assess_pending(store, campaign)
    frozen, decided = freeze(store, campaign), promotion_log(store, campaign)
    if frozen is None or any(
        run.facts["label_set"] == frozen and decisions_about(decided, run.facts["run"]) for run in runs(store, campaign)
    ):
        say(f"labels: none of campaign {campaign} is new")
        return False
    return True


@task(cache_policy=NO_CACHE)
def freeze_labels(store_uri: str, campaign: str, through_round: int | None) -> str:
    """Freeze the accepted labels into a label set and return its id."""
    store = open_store(store_uri)
    assess_pending(store, campaign)
    label_set = freeze(store, campaign, through_round)
    if label_set is not None:
        return label_set
    held = [f"{batch} ({status.why})" for batch, status in batch_statuses(store, campaign).items()]
    if held:
        raise Refused(
            f"No labels of campaign {campaign} count: batch {'; '.join(held)}. Look at what was found, then: "
            f"andon decide {campaign} BATCH accept --reason ..."
        )
    raise Refused(f"Campaign {campaign} has no labels in {store_uri}: export a batch and ingest its answers first.")
