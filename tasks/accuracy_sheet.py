"""Prefect task of the accuracy sheet: sample some systems on the same articles and publish a table to fill in."""

import secrets

from prefect import task
from prefect.cache_policies import NO_CACHE

from data.campaign import Campaign
from data.campaign.queries import edition
from data.console import say
from data.evaluation.accuracy_sheet import Item, publish_sheet, published_sheet
from data.evaluation.human_evaluation import identity
from data.evaluation.systems import find_systems
from data.store import open_store
from models.evaluation.systems import Clock, run_systems
from models.lm.base import open_base


@task(cache_policy=NO_CACHE)
def write_sheet(store_uri: str, campaign: Campaign, names: tuple[str, ...], items: int, seed: int) -> str:
    """Publish a sheet with `items` articles for each system, and return the address of its file."""
    store = open_store(store_uri)
    systems = find_systems(store, campaign, names)
    identities = [identity(system) for system in systems]
    request = {
        "systems": identities,
        "items": items,
        "text": campaign.text.model_dump(),
        "base": campaign.base,
        "seed": seed,
        **({"queries": queries} if (queries := edition(campaign.text)) else {}),
    }
    if (published := published_sheet(store, campaign.name, request)) is not None:
        say("sheet: published")
        return published.address("sheet.csv")
    base = open_base(campaign.base, campaign.text)
    scorer = next((system.run for system in systems if system.kind == "best of"), None)
    say(f"sheet: {items} articles for each of {', '.join(identities)}")
    answered = run_systems(store, campaign, base, systems, scorer, items, seed, Clock())
    rows = [
        Item(query.query_id, query.text, name, response.text)
        for name, responses in zip(identities, answered.responses.values(), strict=True)
        for query, response in zip(answered.queries, responses, strict=True)
    ]
    return publish_sheet(store, campaign.name, rows, request, secrets.randbits(64)).address("sheet.csv")
