"""Prefect task that imports published labels as a batch of the campaign and answers to it."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from prefect import task
from prefect.cache_policies import NO_CACHE

from data.batches.index import BatchFacts, batches
from data.batches.publish import Draft, publish_draft
from data.batches.schema import Question, Sample, content_sha256, question_id, shown_order, write_table
from data.campaign import Campaign
from data.canonical import content_id, sha256, sha256_of_file
from data.console import say
from data.errors import Refused
from data.exchange.formats.openai_2019 import VOCABULARY, PublishedLabel, read_published_labels
from data.ingest.pipeline import IngestResult, ingest
from data.labels.label_sets import freeze
from data.quality.assess_batch import assess_pending
from data.rounds.status import round_to_finish
from data.store import Store, open_store
from models.lm.base import open_base
from models.lm.prompts import Prompts

LABELER = "openai-2019"


@task(cache_policy=NO_CACHE)
def import_published(store_uri: str, campaign: Campaign, file: Path) -> IngestResult:
    """Publish a label file of 2019 as a batch and ingest its answers. Importing a file again adds nothing."""
    store, labels = open_store(store_uri), read_published_labels(file)
    base = open_base(campaign.base, campaign.text)
    if len(base.tokenizer) != VOCABULARY:
        raise Refused(
            f"{file.name} has tokens of GPT-2, but the base {campaign.base} has another vocabulary. "
            "Use --base openai-community/gpt2, or a checkpoint with its tokenizer."
        )
    prompts = base.prompts(campaign.text)
    questions = [_question(prompts, label) for label in labels]
    secret = bytes.fromhex(sha256_of_file(file))  # the file is published, so there is nothing to blind
    _publish_once(store, campaign, questions, secret, base.vocabulary)
    with tempfile.TemporaryDirectory() as folder:
        answers = Path(folder) / f"{file.stem}.parquet"
        write_table(_answers(questions, labels, campaign.instructions, secret), answers)
        scratch = Path(folder) / "scratch"
        scratch.mkdir()
        result = ingest(store, campaign.name, answers, scratch, campaign.quality)
    assess_pending(store, campaign.name)
    result = result._replace(label_set=freeze(store, campaign.name))
    say(f"labels: {result.accepted:,} imported from {file.name}, {result.duplicates:,} duplicates")
    return result


def _publish_once(store: Store, campaign: Campaign, questions: list[Question], secret: bytes, vocabulary: str) -> None:
    """Publish the questions as a batch of the round to finish, unless an earlier import did."""
    origin, began = secret.hex(), datetime.now(UTC)
    mark = content_id([LABELER, origin])
    if any(batch["batch"].endswith(mark) for batch in batches(store, campaign.name)):
        return
    number = round_to_finish(store, campaign.name)
    facts: BatchFacts = {"round": number, "samples": len(questions[0].samples), "vocabulary": vocabulary, "seed": None}
    draft = Draft(
        campaign.name,
        f"r{number:03d}-{mark}",
        campaign,
        enumerate(questions),
        len(questions),
        facts,
        {"imported": origin, "policies": {}, "champion": None},
        began,
        instructions=campaign.instructions,
        secret=secret,
    )
    publish_draft(store, draft)


def _question(prompts: Prompts, label: PublishedLabel) -> Question:
    samples = tuple(Sample(prompts.decode(tokens), tokens, LABELER) for tokens in label.samples)
    query_id = "q" + sha256(repr(label.query).encode())[:16]
    return Question(query_id, prompts.decode(label.query), label.query, samples)


def _answers(questions: list[Question], labels: list[PublishedLabel], instructions: str, secret: bytes) -> pa.Table:
    """Return the choices as the answer file of a vendor."""
    rows = []
    for index, (question, label) in enumerate(zip(questions, labels, strict=True)):
        qid = question_id(secret, index)
        shown = shown_order(secret, qid, len(question.samples))
        digest = content_sha256(instructions, question.query, [question.samples[i].text for i in shown])
        rows.append(
            {"question_id": qid, "content_sha256": digest, "labeler_id": LABELER, "best": shown.index(label.best)}
        )
    return pa.Table.from_pylist(rows)
