"""Prefect tasks of the export: sample a round's questions and publish them."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from data.batches.index import Batch, BatchFacts, batches, read_batch
from data.batches.publish import Draft, publish_draft, with_tests
from data.batches.schema import Question, queries_asked
from data.campaign import Campaign
from data.campaign.queries import Query, is_held_out, load_queries
from data.canonical import Document, content_id
from data.console import say
from data.exchange.publishing import questions_of
from data.paths import KEY_FILE, run_prefix
from data.runs.champion import champion
from data.runs.registry import runs
from data.store import Store, open_store
from data.store.manifest import Publication, read_manifest
from models.evaluation.systems import open_champion
from models.lm.base import Base, open_base
from models.questions.active import CANDIDATES, chosen_by_disagreement, drawn_at_random
from models.questions.draw import BASE, CHAMPION, draw_questions
from models.reward.ensemble import load_ensemble
from tasks.base_check import require_passed


@task(cache_policy=NO_CACHE)
def publish_batch(store_uri: str, campaign: Campaign, round_number: int, seed: int) -> str:
    """Publish the batch of a round and return its id; if it is published already, only return the id."""
    store = open_store(store_uri)
    request = [
        campaign.name,
        round_number,
        campaign.batch.model_dump(),
        campaign.shown_instructions,
        campaign.text.model_dump(),
        campaign.base,
        seed,
    ]
    batch_id = f"r{round_number:03d}-{content_id(request)}"
    if read_batch(store, campaign.name, batch_id) is not None:
        say(f"round {round_number}: batch {batch_id} is published")
        return batch_id
    for batch in batches(store, campaign.name):
        if changed := [change.name for change in campaign.changes_since(batch.facts.get("campaign", {}))]:
            say(f"batch {batch['batch']} was asked with other settings ({', '.join(changed)}): a retrain will say so")
    began = datetime.now(UTC)
    base = open_base(campaign.base, campaign.text)
    require_passed(store, campaign, base)
    policies, leader = {BASE: base}, champion(store, campaign.name)
    if leader is not None:
        policies[CHAMPION] = open_champion(store, campaign, leader, base)
    say(f"round {round_number}: sampling {campaign.batch.questions:,} questions from {' and '.join(policies)}")
    used = set().union(*(queries_asked(batch.path(KEY_FILE)) for batch in batches(store, campaign.name)))
    queries = load_queries(campaign.text, "train")
    questions = _chosen(store, campaign, policies, queries, seed + round_number, used)
    writers = {name: {"fingerprint": policy.fingerprint} for name, policy in policies.items()}
    numbered, count = with_tests(campaign, questions, campaign.batch.questions, seed + round_number)
    facts: BatchFacts = {"round": round_number, "samples": campaign.batch.samples}
    facts |= {"vocabulary": base.vocabulary, "seed": seed}
    inputs: Document = {"policies": writers, "champion": leader}
    publish_draft(store, Draft(campaign.name, batch_id, campaign, numbered, count, facts, inputs, began))
    return batch_id


def _chosen(
    store: Store,
    campaign: Campaign,
    policies: Mapping[str, Base],
    queries: Sequence[Query],
    seed: int,
    used: Collection[str],
) -> Iterator[Question]:
    """Draw the questions of a batch: all at random, or a share at random and the rest by disagreement."""
    count = campaign.batch.questions
    at_random = math.ceil(campaign.batch.random_share * count)
    scorer = last_reward_model(store, campaign, policies[BASE]) if at_random < count else None
    if scorer is None or scorer["models"] < 2:
        if at_random < count:
            say("no run with several reward models yet ([reward] models): all questions are drawn at random")
        return drawn_at_random(draw_questions(policies, queries, campaign, count, seed, used))
    drawn = list(drawn_at_random(draw_questions(policies, queries, campaign, at_random, seed, used)))
    used = {*used, *(question.query_id for question in drawn)}
    selectable = [q for q in queries if not is_held_out(q.query_id, campaign.reward.held_out_share)]
    rest = count - at_random
    candidates = list(draw_questions(policies, selectable, campaign, CANDIDATES * rest, seed + 1_000_003, used))
    say(f"choosing {rest:,} of {len(candidates):,} questions by the disagreement of {scorer['models']} reward models")
    ensemble = load_ensemble(scorer.folder())
    return iter([*drawn, *chosen_by_disagreement(policies[BASE], ensemble, candidates, rest)])


def last_reward_model(store: Store, campaign: Campaign, base: Base) -> Publication | None:
    """Return the reward model of the last run, if the run started from this base."""
    finished = runs(store, campaign.name)
    if not finished:
        return None
    prefix = run_prefix(campaign.name, finished[-1].facts["run"])
    scorer = read_manifest(store, f"{prefix}/reward")
    start = read_manifest(store, f"{prefix}/supervised") or scorer  # fine-tuning keeps the vocabulary
    return scorer if start is not None and start.manifest["inputs"]["base"] == base.fingerprint else None


def sent_batch(store_uri: str, campaign: str, batch_id: str) -> Batch:
    """Return a published batch."""
    batch = read_batch(open_store(store_uri), campaign, batch_id)
    assert batch is not None
    return batch


def vendor_files(store_uri: str, campaign: str, batch_id: str) -> list[Path]:
    """Return the files of a batch that go to a vendor."""
    return list(questions_of(sent_batch(store_uri, campaign, batch_id)).files)
