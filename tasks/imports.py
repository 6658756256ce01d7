"""Prefect task that takes in labels which others collected: as a batch of the campaign, and the answers to it."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from prefect import task
from prefect.cache_policies import NO_CACHE

from data.batches.index import batches
from data.batches.schema import Question, Sample, blind, content_sha256, question_id, shown_order, write_table
from data.campaign import Campaign
from data.canonical import Document, content_id, sha256, sha256_of_file
from data.console import say
from data.errors import Refused
from data.exchange.formats.openai_2019 import VOCABULARY, PublishedLabel, read_published_labels
from data.ingest.pipeline import IngestResult, ingest
from data.labels.label_sets import freeze
from data.quality.assess_batch import assess_pending
from data.rounds.status import round_to_finish
from data.store import open_store
from data.store.manifest import publish, read_manifest
from models.lm.base import open_base
from models.lm.prompts import Prompts

LABELER = "openai-2019"


@task(cache_policy=NO_CACHE)
def import_published(store_uri: str, campaign: Campaign, file: Path) -> IngestResult:
    """Publish a label file of 2019 as a batch and ingest its answers; the same file again adds nothing."""
    store, began = open_store(store_uri), datetime.now(UTC)
    labels = read_published_labels(file)
    base = open_base(campaign.base, campaign.text)
    if len(base.tokenizer) != VOCABULARY:
        raise Refused(
            f"{file.name} holds tokens of GPT-2, and the base {campaign.base} has another vocabulary: "
            "use --base openai-community/gpt2, or a checkpoint with its tokenizer."
        )
    origin = sha256_of_file(file)
    prompts = base.prompts(campaign.text)
    questions = [_question(prompts, label) for label in labels]
    mark = content_id([LABELER, origin])
    known = [batch["batch"] for batch in batches(store, campaign.name) if batch["batch"].endswith(mark)]
    batch_id = known[0] if known else f"r{round_to_finish(store, campaign.name):03d}-{mark}"
    prefix = f"campaigns/{campaign.name}/batches/{batch_id}"
    secret = bytes.fromhex(origin)  # the file is published, so there is nothing to blind
    vendor, key = blind(questions, campaign.instructions, secret)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        write_table(vendor, scratch / "questions.parquet")
        write_table(key, scratch / "key.parquet")
        files: dict[str, Path | bytes] = {
            "questions-0001-imported.parquet": scratch / "questions.parquet",
            "key/samples.parquet": scratch / "key.parquet",
        }
        if read_manifest(store, prefix) is None:
            facts = {"batch": batch_id, "round": int(batch_id[1:4]), "questions": len(questions)}
            facts |= {"samples": len(labels[0].samples), "vocabulary": base.vocabulary, "seed": None}
            facts |= {"campaign": campaign.model_dump(mode="json")}
            inputs: Document = {"imported": origin, "policies": {}, "champion": None}
            publish(store, prefix, "batch", files, inputs=inputs, facts=facts, began=began)
        answers = scratch / f"{file.stem}.parquet"
        write_table(_answers(questions, labels, campaign.instructions, secret), answers)
        (scratch / "judged").mkdir()
        outcome = ingest(store, campaign.name, answers, scratch / "judged", campaign.quality)
        assess_pending(store, campaign.name)
        outcome = outcome._replace(label_set=freeze(store, campaign.name))
    say(f"labels: {outcome.accepted:,} imported from {file.name}, {outcome.duplicates:,} known already")
    return outcome


def _question(prompts: Prompts, label: PublishedLabel) -> Question:
    samples = tuple(Sample(prompts.decode(tokens), tokens, LABELER) for tokens in label.samples)
    query_id = "q" + sha256(repr(label.query).encode())[:16]
    return Question(query_id, prompts.decode(label.query), label.query, samples)


def _answers(questions: list[Question], labels: list[PublishedLabel], instructions: str, secret: bytes) -> pa.Table:
    """Write the choices as a vendor would who was shown the batch."""
    rows = []
    for index, (question, label) in enumerate(zip(questions, labels, strict=True)):
        qid = question_id(secret, index)
        shown = shown_order(secret, qid, len(question.samples))
        digest = content_sha256(instructions, question.query, [question.samples[i].text for i in shown])
        rows.append(
            {"question_id": qid, "content_sha256": digest, "labeler_id": LABELER, "best": shown.index(label.best)}
        )
    return pa.Table.from_pylist(rows)
