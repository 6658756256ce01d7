"""Prefect tasks of the training: reward model and policy, each from the base, each published when it is done."""

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from data.campaign import Campaign
from data.canonical import content_id
from data.labels import batches, read_label_set
from data.promotions import run_prefix
from data.publication import publish, read_manifest
from data.queries import load_queries
from data.store import open_store
from models import ppo, reward
from models.base import Base, fingerprint, open_base, save_language_model
from models.comparisons import base_responses, split_comparisons
from models.tokens import encode_query, single_token
from tasks.card import model_card
from tasks.stage import say


def query_tokens(campaign: Campaign, base: Base, split: str) -> list[list[int]]:
    """Return the queries of a split that fit the campaign's rules, in the order of the file."""
    queries = load_queries(campaign.text.queries, "train" if split == "train" else "test")
    encoded = [encode_query(base.tokenizer, query.text, campaign.text) for query in queries]
    return [tokens for tokens in encoded if tokens]


@task(cache_policy=NO_CACHE)
def run_id(campaign: Campaign, label_set: str, seed: int) -> str:
    """Return the id of a run: a hash of all that decides its outcome."""
    return "run-" + content_id(
        [
            campaign.name,
            open_base(campaign.base, campaign.text.positions).fingerprint,
            label_set,
            campaign.recipe(),
            seed,
        ]
    )


@task(cache_policy=NO_CACHE)
def train_reward(store_uri: str, campaign: Campaign, run: str, label_set: str, seed: int) -> None:
    """Train the run's reward model on its label set, and publish it, unless it is published."""
    store, prefix = open_store(store_uri), f"{run_prefix(campaign.name, run)}/reward"
    if read_manifest(store, prefix) is not None:
        say("reward model: published")
        return
    began = datetime.now(UTC)
    base, text = open_base(campaign.base, campaign.text.positions), campaign.text
    document, labels = read_label_set(store, campaign.name, label_set)
    sources = [batch for batch in batches(store, campaign.name) if batch["batch"] in document["batches"]]
    split = split_comparisons(base, sources, labels, text, campaign.reward.held_out_share)
    say(f"reward model: training on {len(split.train):,} labels, {len(split.held_out):,} held out")
    queries = query_tokens(campaign, base, "train")
    count = campaign.reward.normalisation_samples
    normal = base_responses(base, queries, text, 2 * count, seed)
    model = reward.new_reward_model(base.model, text.query_tokens, text.response_tokens, seed)
    before = model.normalise(normal[:count])
    history = reward.train(model, split.train, campaign.reward, seed)
    after = model.normalise(normal[:count])
    fresh = reward.score_all(model, normal[count:])
    held_out = reward.evaluate(model, split.held_out)
    say(f"reward model: held-out accuracy {held_out.accuracy} (chance {held_out.chance:.3f})")
    with tempfile.TemporaryDirectory() as scratch:
        model.save(Path(scratch))
        (Path(scratch) / "history.json").write_text(json.dumps(history))
        files: dict[str, Path | bytes] = {path.name: path for path in Path(scratch).iterdir()}
        facts = {
            "train_labels": len(split.train),
            "held_out_labels": len(split.held_out),
            "accuracy": held_out.accuracy._asdict(),
            "chance": held_out.chance,
            "loss": held_out.loss,
            "normalised_before": before._asdict(),
            "normalised_after": after._asdict(),
            "base_score_mean": float(fresh.mean()),  # on samples that did not set gain and bias
            "base_score_std": float(fresh.std()),
        }
        inputs = {"label_set": label_set, "base": base.fingerprint, "seed": seed}
        publish(store, prefix, "reward", files, inputs=inputs, facts=facts, began=began)


@task(cache_policy=NO_CACHE)
def train_policy(store_uri: str, campaign: Campaign, run: str, seed: int) -> None:
    """Train the run's policy against its published reward model, and publish it, unless it is published."""
    store, prefix = open_store(store_uri), f"{run_prefix(campaign.name, run)}/policy"
    if read_manifest(store, prefix) is not None:
        say("policy: published")
        return
    began = datetime.now(UTC)
    base, text = open_base(campaign.base, campaign.text.positions), campaign.text
    scorer = read_manifest(store, f"{run_prefix(campaign.name, run)}/reward")
    assert scorer is not None
    say(f"policy: PPO from the base, {campaign.policy.episodes:,} episodes")
    metrics: list[ppo.Metrics] = []
    policy = ppo.train(
        campaign.policy,
        text,
        base.model,
        reward.load_reward_model(scorer.folder()),
        query_tokens(campaign, base, "train"),
        stop_token=single_token(base.tokenizer, text.truncate_at),
        seed=seed,
        log=metrics.append,
    )
    assert fingerprint(base.model) == base.fingerprint, "the reference changed while it was trained against"
    last = metrics[-1]
    say(f"policy: score {last['score']:+.2f}, KL {last['kl']:.1f} nats a sequence, {last['valid']:.0%} valid")
    with tempfile.TemporaryDirectory() as scratch:
        save_language_model(policy.language_model, base.tokenizer, Path(scratch))
        (Path(scratch) / "history.json").write_text(json.dumps(metrics))
        (Path(scratch) / "README.md").write_text(model_card(campaign, run, base.name, last))
        files: dict[str, Path | bytes] = {path.name: path for path in Path(scratch).iterdir()}
        inputs = {"reward": scorer.manifest["files"], "base": base.fingerprint, "seed": seed}
        publish(store, prefix, "policy", files, inputs=inputs, facts={"last": last}, began=began)
