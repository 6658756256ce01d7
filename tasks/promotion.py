"""Prefect task that ends a run: let the gate decide whether it becomes champion."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from data.campaign import Campaign
from data.notices import notify
from data.promotion_gate import decide_by_gate
from data.promotions import champion, find_run
from data.publication import read_manifest
from data.store import open_store
from tasks.stage import say


@task(cache_policy=NO_CACHE)
def promote_if_better(store_uri: str, campaign: Campaign, run: str, evaluation: str) -> bool:
    """Let the gate decide about a finished run by an evaluation of it; return whether it is champion now."""
    store = open_store(store_uri)
    measured, label_set = read_manifest(store, evaluation), find_run(store, campaign.name, run)["label_set"]
    assert measured is not None
    entry = decide_by_gate(store, campaign, run, label_set, measured)
    if entry is None:
        say("promotion: decided before")
    elif entry["kind"] == "keep":
        say(f"promotion: no: {entry['reason']}")
    else:
        say(f"promotion: {run} is champion: {entry['reason']}")
        notify(
            "promotion",
            f"{campaign.name}: {run} is champion: {entry['reason']}",
            {"campaign": campaign.name, "run": run},
        )
    return champion(store, campaign.name) == run
