"""Publishing questions as a batch: blinded, with the copies, known questions and fixed comparison of the campaign."""

import tempfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from secrets import token_bytes

from data.batches.composition import plan_composition, read_drift, read_gold, repeat_pairs
from data.batches.schema import Question
from data.batches.writer import write_batch
from data.campaign import Campaign
from data.canonical import Document
from data.paths import batch_prefix
from data.store import Store
from data.store.manifest import publish


def publish_questions(
    store: Store,
    campaign: Campaign,
    batch_id: str,
    questions: Iterable[Question],
    count: int,
    *,
    seed: int,
    facts: Document,
    inputs: Document,
    began: datetime,
) -> None:
    """Publish `count` questions as a batch; `seed` draws which of them are copied."""
    known = read_gold(campaign.batch.gold, campaign.batch.samples)
    watched = read_drift(campaign.batch.drift, campaign.batch.samples)
    plan = plan_composition(count, known, campaign.batch, seed, watched)
    with tempfile.TemporaryDirectory() as scratch:
        files = write_batch(
            plan.numbered(questions), plan.count, campaign.shown_instructions, token_bytes(32), Path(scratch)
        )
        if pairs := repeat_pairs(Path(scratch) / "key.parquet"):
            lines = ["question_id,same_labeler_as", *(",".join(pair) for pair in pairs)]
            files["repeats.csv"] = "\n".join([*lines, ""]).encode()
        facts = {"batch": batch_id, "questions": plan.count, "samples": campaign.batch.samples} | facts
        facts |= {"campaign": campaign.model_dump(mode="json")}
        prefix = batch_prefix(campaign.name, batch_id)
        publish(store, prefix, "batch", files, inputs=inputs, facts=facts, began=began)
