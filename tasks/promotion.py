"""Prefect task that ends a run: let the gate decide whether it becomes champion."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from data.campaign import Campaign
from data.console import say
from data.cord.webhook import notify
from data.evaluation.deciding import evaluation_of
from data.evaluation.gate import decide_by_gate
from data.runs.champion import champion
from data.runs.registry import find_run
from data.store import open_store


@task(cache_policy=NO_CACHE)
def promote_if_better(store_uri: str, campaign: Campaign, run: str) -> bool:
    """Let the gate decide about a finished run by its deciding evaluation; return whether it is champion now."""
    store = open_store(store_uri)
    measured = evaluation_of(store, campaign.name, run, campaign)
    label_set = find_run(store, campaign.name, run).facts["label_set"]
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
