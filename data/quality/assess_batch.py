"""Assessing a batch: all answers so far are read, and assessed by data/quality/assessment.py."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from data.answers import DETAILED
from data.answers.answer import count_undecided
from data.batches.index import Batch, batches
from data.batches.key import Key, read_key_columns
from data.batches.schema import read_key
from data.campaign import Campaign
from data.campaign.settings import Quality
from data.labels.decisions import assessments, labels_seen, record_assessment
from data.labels.delivery import DeliveryEntry
from data.labels.log_entries import Assessment, OtherMeasures
from data.labels.table import active, committed_table, deliveries, skips
from data.measures.intervals import proportion
from data.paths import KEY_FILE
from data.quality.arrays import BestChoices, best_choices, to_arrays
from data.quality.assessment import assess
from data.quality.chosen_texts import QUESTIONS_READ, ChosenSample, compare_texts
from data.quality.gates import watched_rate
from data.shapes import checked_settings
from data.store import Store


def assess_batch(
    store: Store,
    campaign: str,
    batch: Batch,
    key: Key,
    thresholds: Quality,
    predicted: Mapping[str, int],
) -> Assessment:
    """Assess all answers to a batch so far, and record the assessment if it differs from the last one."""
    taken = deliveries(store, campaign)
    seen = _accepted(taken)[batch["batch"]]
    columns = ["question_id", "labeler_id", "best_sample", "best_shown", "seconds", "supersedes"]
    columns += [kind.name for kind in DETAILED]
    labels = committed_table(store, taken, batch["batch"], columns)
    if labels["supersedes"].null_count < len(labels):
        labels = committed_table(store, taken, batch["batch"])
        labels = labels.take(active(labels))
    earlier = assessments(store, campaign)
    earlier.pop(batch["batch"], None)
    naming = best_choices(labels, key)
    others = _others(store, campaign, batch, key, labels, naming)
    answers = to_arrays(key, naming, predicted)
    del labels, naming  # a quarter of the memory
    pa.default_memory_pool().release_unused()
    before = (
        [] if batch.manifest["kind"] == "comparison" else list(earlier.values())
    )  # human evaluations have other systems each
    facts = assess(answers, len(key), thresholds, before, others)
    return record_assessment(store, campaign, batch["batch"], facts, seen)


def assess_pending(store: Store, campaign: str) -> None:
    """Assess every batch with answers that are not assessed, because their ingest was killed before.

    The settings are those of the export, and no reward model is used.
    """
    taken, seen = _accepted(deliveries(store, campaign)), labels_seen(store, campaign)
    for batch in batches(store, campaign):
        if taken[batch["batch"]] > seen.get(batch["batch"], 0):
            settings = batch.facts.get("campaign")
            where = f"The campaign of {batch['batch']}"
            thresholds = checked_settings(settings, Campaign, where).quality if settings else Quality()
            assess_batch(store, campaign, batch, read_key_columns(batch.path(KEY_FILE)), thresholds, {})


def _accepted(taken: Sequence[DeliveryEntry]) -> Counter[str]:
    """Return the number of labels of each batch in the log."""
    labels = Counter[str]()
    for entry in taken:
        labels[entry["batch"]] += entry["accepted"]
    return labels


def _others(
    store: Store, campaign: str, batch: Batch, key: Key, labels: pa.Table, naming: BestChoices
) -> OtherMeasures:
    """Return the measures that need more than the answers: texts, drift questions, coverage, undecided answers."""
    named, counted = skips(store, deliveries(store, campaign), batch["batch"])
    asked = pa.chunked_array(labels["question_id"].chunks + named["question_id"].chunks, pa.string())
    skipped = len(named) + counted
    undecided = count_undecided(labels)
    return {
        "texts": _texts(batch, key, labels),
        "drift": watched_rate(key, naming),
        "answered": min(len(key), pc.count_distinct(asked).as_py() + counted),
        "undecided": proportion(undecided + skipped, len(labels) + skipped).document(),
    }


def _texts(batch: Batch, key: Key, labels: pa.Table) -> dict[str, float]:
    """Measure the texts of the first questions, which are a random sample, because ids are random."""
    some = pc.is_in(labels["question_id"], key.ids.slice(0, QUESTIONS_READ))
    rows = labels.filter(pc.and_(some, pc.is_valid(labels["best_sample"])))
    questions, samples = rows["question_id"].to_pylist(), rows["best_sample"].to_pylist()
    asked = islice(read_key(batch.path(KEY_FILE), tokens=False), QUESTIONS_READ)
    return compare_texts(asked, [ChosenSample(*pair) for pair in zip(questions, samples, strict=True)])
