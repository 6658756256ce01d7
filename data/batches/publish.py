"""Publishing a batch: whatever its questions are, they are blinded, written and published here."""

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

    name: str  # of the campaign, or of its comparisons (data/paths.py)
    batch: str  # its id
    campaign: Campaign  # the settings that it is asked with
    questions: Iterable[Numbered]  # each with its number in the batch, in any order
    count: int  # how many questions there are
    facts: BatchFacts  # what else is known of the batch
    inputs: Document  # what it was made from
    began: datetime
    kind: str = "batch"
    instructions: str | None = None  # None for those of the campaign
    secret: bytes | None = None  # from which ids and orders come; None to draw one


def with_tests(
    campaign: Campaign, questions: Iterable[Question], count: int, seed: int
) -> tuple[Iterable[Numbered], int]:
    """Add to `count` drawn questions the copies, gold questions and fixed comparison that the campaign asks for.

    Return all questions, numbered, and how many there are. `seed` draws which questions are copied.
    """
    gold = read_gold(campaign.batch.gold, campaign.batch.samples)
    drift = read_drift(campaign.batch.drift, campaign.batch.samples)
    composition = plan_composition(count, gold, campaign.batch, seed, drift)
    return composition.numbered(questions), composition.count


def publish_draft(store: Store, draft: Draft) -> Batch:
    """Publish a batch: the vendor's files, the key, and which copies go to the labeler who had the first one."""
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
