"""Prefect tasks of the export: sample a round's questions and publish them."""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from data.batch import blind, read_key, write_parts, write_table
from data.campaign import Campaign
from data.canonical import content_id
from data.composition import composed, read_gold
from data.exchange import QUESTION_FORMATS
from data.exchange.questions import Questions
from data.labels import batches
from data.promotions import champion, policy_of
from data.publication import publish, read_manifest
from data.queries import load_queries
from data.store import open_store
from models.base import open_base
from models.questions import BASE, CHAMPION, draw_questions
from tasks.stage import say


@task(cache_policy=NO_CACHE)
def publish_batch(store_uri: str, campaign: Campaign, round_number: int, seed: int) -> str:
    """Publish the batch of a round and return its id; where it is published already, only return it."""
    store = open_store(store_uri)
    request = [
        campaign.name,
        round_number,
        campaign.batch.model_dump(),
        campaign.text.model_dump(),
        campaign.base,
        seed,
    ]
    batch_id = f"r{round_number:03d}-{content_id(request)}"
    prefix = f"campaigns/{campaign.name}/batches/{batch_id}"
    if read_manifest(store, prefix) is not None:
        say(f"round {round_number}: batch {batch_id} is published")
        return batch_id
    began = datetime.now(UTC)
    base = open_base(campaign.base, campaign.text.positions)
    policies, leader = {BASE: base}, champion(store, campaign.name)
    if leader is not None:
        policies[CHAMPION] = open_base(str(policy_of(store, campaign.name, leader).folder()))
    say(f"round {round_number}: sampling {campaign.batch.questions:,} questions from {' and '.join(policies)}")
    earlier = [
        row["query_id"]
        for batch in batches(store, campaign.name)
        for row in read_key(batch.path("key/samples.parquet"))
        if row["role"] != "gold"
    ]
    queries = load_queries(campaign.text, "train")
    questions = draw_questions(policies, queries, campaign, campaign.batch.questions, seed + round_number, set(earlier))
    known = read_gold(campaign.batch.gold, campaign.batch.samples)
    asked = composed(questions, known, campaign.batch, seed + round_number)
    vendor, key = blind(asked, campaign.instructions, secret=os.urandom(32))
    with tempfile.TemporaryDirectory() as scratch:
        files: dict[str, Path | bytes] = dict(write_parts(vendor, Path(scratch)))
        write_table(key, Path(scratch) / "key.parquet")
        files["key/samples.parquet"] = Path(scratch) / "key.parquet"
        facts = {
            "batch": batch_id,
            "round": round_number,
            "questions": len(asked),
            "samples": campaign.batch.samples,
        }
        facts |= {"vocabulary": base.vocabulary, "campaign": campaign.model_dump(mode="json"), "seed": seed}
        writers = {name: {"fingerprint": policy.fingerprint} for name, policy in policies.items()}
        inputs = {"policies": writers, "champion": leader}
        publish(store, prefix, "batch", files, inputs=inputs, facts=facts, began=began)
    return batch_id


def format_files(store_uri: str, campaign: str, batch_id: str, name: str) -> list[Path]:
    """Publish a batch in the format of a labeling tool beside its own files, once, and return its files."""
    store, prefix = open_store(store_uri), f"campaigns/{campaign}/batches/{batch_id}/vendor/{name}"
    published = read_manifest(store, prefix)
    if published is None:
        began = datetime.now(UTC)
        with tempfile.TemporaryDirectory() as scratch:
            made = QUESTION_FORMATS[name](Questions(vendor_files(store_uri, campaign, batch_id)), Path(scratch))
            files: dict[str, Path | bytes] = {path.name: path for path in made}
            published = publish(store, prefix, "vendor", files, inputs={"batch": batch_id}, facts={}, began=began)
    return [published.path(file) for file in published.names()]


def vendor_files(store_uri: str, campaign: str, batch_id: str) -> list[Path]:
    """Return the files of a batch that go to a vendor."""
    batch = read_manifest(open_store(store_uri), f"campaigns/{campaign}/batches/{batch_id}")
    assert batch is not None
    return [batch.path(name) for name in batch.names() if name.startswith("questions-")]
