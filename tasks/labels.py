"""Prefect tasks of the labels: take a delivery in, or let simulated labelers answer.

What needs torch is imported where it is needed: without a finished run, taking labels in does not.
"""

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from data.campaign import Campaign
from data.decisions import standings
from data.label_sets import freeze
from data.labels import Ingested, deliveries, ingest
from data.promotions import runs
from data.publication import Publication
from data.quality_report import report_batch
from data.receiving import shown_name
from data.refused import Refused
from data.shelves import comparisons_of
from data.simulated import write_answers
from data.store import Store, open_store
from tasks.showing import show_ingested
from tasks.stage import say

MOST_REPORTED_AT_ONCE = 100_000  # answers; the report reads them one by one, and ingesting shall stay fast


@task(cache_policy=NO_CACHE)
def ingest_file(store_uri: str, campaign: Campaign, delivery: Path, despite: str | None = None) -> Ingested:
    """Validate one answer file, commit what it adds, and decide what the answers to its batch are worth."""
    store = open_store(store_uri)
    with tempfile.TemporaryDirectory() as scratch:
        predict = partial(_liked_by_the_last_reward_model, store, campaign)
        outcome = ingest(store, campaign.name, delivery, Path(scratch), campaign.quality, predict, despite)
    say(
        f"labels: {outcome.accepted:,} accepted, {outcome.quarantined:,} quarantined, "
        f"{outcome.duplicates:,} duplicates from {shown_name(delivery.name)}"
    )
    for finding in outcome.findings:
        say(f"labels: {finding['fault']}: {finding['evidence']}")
    if outcome.decision != "accept":
        say(f"labels: batch {outcome.batch} is on {outcome.decision} and is not trained on until a person decides")
    name = comparisons_of(campaign.name) if outcome.compares else campaign.name
    if outcome.compares:
        say("labels: answers of an evaluation; nothing is trained on them")
    outcome = outcome._replace(label_set=None if outcome.compares else freeze(store, campaign.name))
    if outcome.accepted > MOST_REPORTED_AT_ONCE:
        say(f"labels: andon quality {campaign.name} {outcome.batch} writes the quality report")
        report = None
    else:
        report = report_batch(store, name, outcome.batch)
        outcome = outcome._replace(report=report.address("report.html"))
    show_ingested(store, campaign.name, shown_name(delivery.name), outcome, report)
    return outcome


def _liked_by_the_last_reward_model(store: Store, campaign: Campaign, batch: Publication) -> Mapping[str, int]:
    """Ask the reward model of the last run what it likes best of each question; nothing where there is no run."""
    if not runs(store, campaign.name):
        return {}
    from models.base import open_base
    from models.comparisons import preferred
    from models.ensemble import load_ensemble
    from tasks.batches import last_reward_model

    base = open_base(campaign.base, campaign.text.positions)
    scorer = last_reward_model(store, campaign, base)
    if scorer is None:
        return {}
    return preferred(base, load_ensemble(scorer.folder()).scores, batch, campaign.text)


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
def labels_are_new(store_uri: str, campaign: str) -> bool:
    """Whether labels count that no finished run was trained on."""
    store = open_store(store_uri)
    frozen = freeze(store, campaign)
    if frozen is None or any(run["label_set"] == frozen for run in runs(store, campaign)):
        say(f"labels: none of campaign {campaign} is new")
        return False
    return True


@task(cache_policy=NO_CACHE)
def freeze_labels(store_uri: str, campaign: str, through_round: int | None) -> str:
    """Freeze the accepted labels into a label set and return its id."""
    store = open_store(store_uri)
    label_set = freeze(store, campaign, through_round)
    if label_set is not None:
        return label_set
    held = [f"{batch} ({standing.why})" for batch, standing in standings(store, campaign).items()]
    if held:
        raise Refused(
            f"No labels of campaign {campaign} count: batch {'; '.join(held)}. Look at what was found, then: "
            f"andon decide {campaign} BATCH accept --reason ..."
        )
    raise Refused(f"Campaign {campaign} has no labels in {store_uri}: export a batch and ingest its answers first.")
