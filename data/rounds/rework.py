"""Rework: a new batch of the questions whose answers do not count.

Answers do not count if their batch is held or rejected, or if their labeler is. Questions without an answer are not
rework, because their answers may still arrive.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from data.batches.index import Batch, BatchFacts, batches
from data.batches.publish import Draft, publish_draft, with_tests
from data.batches.schema import TESTS, Question, Sample, read_key
from data.campaign import Campaign
from data.canonical import content_id
from data.errors import Refused
from data.labels.decisions import batch_statuses
from data.labels.table import active, committed_table, deliveries
from data.paths import KEY_FILE, batch_prefix
from data.store import Store
from data.store.manifest import read_manifest

REWORK = "rework"  # selection reason of its questions


def questions_to_rework(store: Store, campaign: str, batch: Batch) -> Iterator[Question]:
    """Yield each answered question of a batch without an answer that counts, neither to it nor to a copy of it."""
    columns = ("label_id", "question_id", "labeler_id", "supersedes")
    labels = committed_table(store, deliveries(store, campaign), batch["batch"], columns)
    decided = batch_statuses(store, campaign).get(batch["batch"])
    answers = labels.take(active(labels)).select(["question_id", "labeler_id"]).to_pylist()
    accepted = decided is None or decided.decision == "accept"
    weights = {} if decided is None else decided.weights
    counts = {answer["question_id"] for answer in answers if accepted and weights.get(answer["labeler_id"], 1.0) > 0}
    answered = {answer["question_id"] for answer in answers}
    items = {row["question_id"]: row["item"] for row in read_key(batch.path(KEY_FILE), tokens=False)}
    open_items = {items[name] for name in answered} - {items[name] for name in counts}
    for row in read_key(batch.path(KEY_FILE)):
        if row["item"] in open_items and row["role"] not in TESTS:
            open_items.remove(row["item"])
            samples = tuple(Sample(**sample) for sample in row["samples"])
            question = Question(row["query_id"], row["query"], row["query_tokens"], samples)
            yield replace(question, selection_reason=REWORK, selection_score=row["selection_score"])


def publish_rework(store: Store, campaign: Campaign, batch_id: str) -> str:
    """Publish the rework of a batch in the round of that batch, once, and return the id of the new batch."""
    sent = {batch["batch"]: batch for batch in batches(store, campaign.name)}
    if batch_id not in sent:
        raise Refused(f"Campaign {campaign.name} has no batch {batch_id}; it has: {', '.join(sent) or 'none'}.")
    batch, began = sent[batch_id], datetime.now(UTC)
    questions = list(questions_to_rework(store, campaign.name, batch))
    if not questions:
        raise Refused(f"Batch {batch_id} of campaign {campaign.name} has no answers that were held or rejected.")
    content = [batch_id, [question.item for question in questions], campaign.shown_instructions]
    rework = f"r{batch['round']:03d}-{content_id([REWORK, *content, campaign.batch.model_dump()])}"
    if read_manifest(store, batch_prefix(campaign.name, rework)) is None:
        facts: BatchFacts = {"round": batch["round"], "samples": campaign.batch.samples, "rework_of": batch_id}
        facts |= {"vocabulary": batch["vocabulary"], "seed": 0}
        inputs = batch.manifest["inputs"] | {"rework_of": batch_id}
        numbered, count = with_tests(campaign, questions, len(questions), seed=0)
        publish_draft(store, Draft(campaign.name, rework, campaign, numbered, count, facts, inputs, began))
    return rework
