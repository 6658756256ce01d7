"""Prefect task of planning: measure the learning curve of the labels so far, once for each label set."""

from datetime import UTC, datetime

from prefect import task
from prefect.cache_policies import NO_CACHE

from data.campaign import Campaign
from data.canonical import content_id
from data.console import say
from data.labels.label_sets import batches_of, read_label_set
from data.paths import curves_prefix
from data.store import open_store
from data.store.manifest import publish, read_manifest
from models.lm.base import open_base
from models.lm.query_list import query_tokens
from models.reward.dataset import base_responses, split_comparisons
from models.reward.learning_curve import learning_curve
from models.training.job import Job


@task(cache_policy=NO_CACHE)
def measure_curve(store_uri: str, campaign: Campaign, label_set: str, seed: int) -> str:
    """Publish the learning curve of a label set with the campaign's settings, and return its prefix.

    It is measured with one model of each size, on the base itself, even if runs fine-tune it first.
    """
    store = open_store(store_uri)
    base = open_base(campaign.base, campaign.text)
    prompts = base.prompts(campaign.text)
    inputs_of_curve = [label_set, base.fingerprint, campaign.text.model_dump(), campaign.reward.model_dump(), seed]
    prefix = f"{curves_prefix(campaign.name)}/{content_id(inputs_of_curve)}"
    if read_manifest(store, prefix) is not None:
        say(f"learning curve: measured before on label set {label_set}")
        return prefix
    began = datetime.now(UTC)
    document, labels = read_label_set(store, campaign.name, label_set)
    sources = batches_of(store, campaign.name, document)
    split = split_comparisons(base, sources, labels, prompts, campaign.reward.held_out_share)
    look = Job(store_uri, campaign, "learning-curve", label_set, seed).look()
    queries, count = query_tokens(prompts, "train"), campaign.reward.normalisation_samples
    normal = base_responses(base, queries, prompts, count, seed, look=look)
    points = learning_curve(base, split, normal, campaign.reward, seed, say, look)
    table = "labels,right,held_out\n" + "".join(f"{p.labels},{p.right},{p.held_out}\n" for p in points)
    facts = {"label_set": label_set, "points": [list(point) for point in points], "seed": seed}
    inputs = {"label_set": label_set, "base": base.fingerprint, "reward": campaign.reward.model_dump(mode="json")}
    publish(store, prefix, "learning curve", {"curve.csv": table.encode()}, inputs=inputs, facts=facts, began=began)
    return prefix
