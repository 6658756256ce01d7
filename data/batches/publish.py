"""Publishing a batch: its questions are blinded, written and published."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from secrets import token_bytes

from data.batches.composition import plan_composition, read_drift, read_gold, repeat_pairs
from data.batches.index import Batch, BatchFacts
from data.batches.schema import Question
from data.batches.writer import Numbered, write_batch
from data.campaign import Campaign
from data.canonical import Document, plain
from data.paths import batch_prefix
from data.store import Store
from data.store.manifest import publish


@dataclass(frozen=True)
class Draft:
    """A batch before it is published."""

    name: str  # namespace: the campaign, or its human evaluations (data/paths.py)
    batch: str  # its id
    campaign: Campaign
    questions: Iterable[Numbered]  # each with its number in the batch, in any order
    count: int  # number of questions
    facts: BatchFacts  # further facts of the batch
    inputs: Document  # inputs in its manifest
    began: datetime
    kind: str = "batch"
    instructions: str | None = None  # None: the instructions of the campaign
    secret: bytes | None = None  # ids and orders are derived from it; None: a new one is drawn


def with_tests(
    campaign: Campaign, questions: Iterable[Question], count: int, seed: int
) -> tuple[Iterable[Numbered], int]:
    """Add copies, gold questions and drift questions to `count` drawn questions, as the campaign asks for.

    Return all questions with their numbers, and how many they are. `seed` decides which questions are copied.
    """
    gold = read_gold(campaign.batch.gold, campaign.batch.samples)
    drift = read_drift(campaign.batch.drift, campaign.batch.samples)
    composition = plan_composition(count, gold, campaign.batch, seed, drift)
    return composition.numbered(questions), composition.count


def publish_draft(store: Store, draft: Draft) -> Batch:
    """Publish a batch: the vendor's files, the key, and the list of repeats for the same labeler."""
    instructions = draft.campaign.shown_instructions if draft.instructions is None else draft.instructions
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        secret = token_bytes(32) if draft.secret is None else draft.secret
        files = write_batch(draft.questions, draft.count, instructions, secret, scratch)
        if pairs := repeat_pairs(scratch / "key.parquet"):
            lines = ["question_id,same_labeler_as", *(",".join(pair) for pair in pairs)]
            files["repeats.csv"] = "\n".join([*lines, ""]).encode()
        facts: BatchFacts = {"batch": draft.batch, "questions": draft.count, **draft.facts}
        facts["campaign"] = draft.campaign.model_dump(mode="json")
        prefix = batch_prefix(draft.name, draft.batch)
        published = publish(
            store, prefix, draft.kind, files, inputs=draft.inputs, facts=plain(facts), began=draft.began
        )
    return Batch(published.store, published.prefix, published.manifest)
