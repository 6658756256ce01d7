"""Ingesting a delivery: what `andon ingest`, the inbox and a round do with an answer file, whoever runs it.

Prefect is not imported here: a person who takes a file in by hand does not wait for a server to start. What needs torch
is imported where it is needed: without a finished run, taking labels in does not.
"""

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from data.batches.index import Batch
from data.campaign import Campaign
from data.console import say
from data.escape import shown_name
from data.ingest.page_delivery import PageChoice, PageCollection, PageDelivery, collect_page
from data.ingest.pipeline import IngestResult, Predict, ingest
from data.labels.label_sets import freeze
from data.page.answers import mark_delivered
from data.paths import comparisons_of, name_in
from data.quality.assess_batch import assess_pending
from data.reports.quality import report_batch
from data.runs.registry import runs
from data.store import Store
from data.store.manifest import Publication

MOST_REPORTED_AT_ONCE = 100_000  # answers; the report reads them one by one, and ingesting shall stay fast


class PageIngest(NamedTuple):
    """What a collection of the labeling page added; no result if nothing was to be ingested."""

    page: PageDelivery
    result: IngestResult | None


def ingest_delivery(
    store: Store, campaign: Campaign, delivery: Path, despite: str | None = None
) -> tuple[IngestResult, Publication | None]:
    """Validate one answer file, commit what it adds, and decide what the answers to its batch are worth.

    Return what it added, and the quality report of its batch if one was written; raise Refused if it cannot be
    trusted. `despite` is a person's reason to take a file whose answers look wrong.
    """
    with tempfile.TemporaryDirectory() as scratch:
        predict = partial(_liked_by_the_last_reward_model, store, campaign)
        outcome = ingest(store, campaign.name, delivery, Path(scratch), campaign.quality, predict, despite)
    return _reported(store, campaign, outcome, shown_name(delivery.name))


def ingest_page(store: Store, campaign: Campaign, batch: Batch, choice: PageChoice) -> PageIngest:
    """Ingest the new answers of the labeling page to a batch, and decide what the answers to the batch are worth.

    Answers that look wrong are left out labeler by labeler, and stay saved for a later collection.
    """
    name = name_in(batch.prefix)
    compares = name != campaign.name
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory() as files:
        predict: Predict = (
            _no_prediction if compares else _once(partial(_liked_by_the_last_reward_model, store, campaign))
        )
        page = collect_page(PageCollection(store, batch, choice, campaign.quality, predict, Path(files)))
        if page.collected is None:
            return PageIngest(page, None)
        path, despite = page.collected.path, page.despite
        outcome = ingest(store, campaign.name, path, Path(scratch), campaign.quality, predict, despite, by_labeler=True)
    mark_delivered(store, name, batch["batch"], page.collected.answers)
    return PageIngest(page, _reported(store, campaign, outcome, "the labeling page")[0])


def _reported(
    store: Store, campaign: Campaign, outcome: IngestResult, source: str
) -> tuple[IngestResult, Publication | None]:
    """Say what a delivery added, freeze the labels that count, and write the quality report of its batch."""
    say(
        f"labels: {outcome.accepted:,} accepted, {outcome.quarantined:,} quarantined, "
        f"{outcome.duplicates:,} duplicates from {source}"
    )
    for finding in outcome.findings:
        say(f"labels: {finding['fault']}: {finding['evidence']}")
    if outcome.decision != "accept":
        say(f"labels: batch {outcome.batch} is on {outcome.decision} and does not count until a person decides")
    name = comparisons_of(campaign.name) if outcome.compares else campaign.name
    if outcome.compares:
        say("labels: answers of an evaluation; nothing is trained on them")
    if not outcome.compares:
        assess_pending(store, campaign.name)
    outcome = outcome._replace(label_set=None if outcome.compares else freeze(store, campaign.name))
    if outcome.accepted > MOST_REPORTED_AT_ONCE:
        say(f"labels: andon quality {campaign.name} {outcome.batch} writes the quality report")
        return outcome, None
    report = report_batch(store, name, outcome.batch)
    return outcome._replace(report=report.address("report.html")), report


def _no_prediction(batch: Batch) -> Mapping[str, int]:
    return {}


def _once(predict: Predict) -> Predict:
    """Return the same function for one batch, which asks the reward model only once."""
    liked: list[Mapping[str, int]] = []

    def predict_once(batch: Batch) -> Mapping[str, int]:
        if not liked:
            liked.append(predict(batch))
        return liked[0]

    return predict_once


def _liked_by_the_last_reward_model(store: Store, campaign: Campaign, batch: Batch) -> Mapping[str, int]:
    """Ask the reward model of the last run what it likes best of each question; nothing if there is no run."""
    if not runs(store, campaign.name):
        return {}
    from models.lm.base import open_base
    from models.reward.dataset import preferred
    from models.reward.ensemble import load_ensemble
    from tasks.batches import last_reward_model

    base = open_base(campaign.base, campaign.text)
    scorer = last_reward_model(store, campaign, base)
    if scorer is None:
        return {}
    return preferred(base, load_ensemble(scorer.folder()).scores, batch, base.prompts(campaign.text))
