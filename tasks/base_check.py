"""Prefect task of the base check: a base is compared with its own forward pass once, before labels are bought."""

import time
from datetime import UTC, datetime

from prefect import task
from prefect.cache_policies import NO_CACHE

from data.base_check.facts import BaseCheck
from data.base_check.registry import find_check, refuse_if_failed
from data.campaign import Campaign
from data.console import say
from data.reports.base_check import base_check_report
from data.store import Store, open_store
from data.store.manifest import Publication, publish
from models.base_check.check import check_base
from models.base_check.material import check_inputs
from models.lm.base import Base, open_base

_CHECKED: dict[str, BaseCheck] = {}  # by id: of this process, which may work on several stores


@task(cache_policy=NO_CACHE)
def publish_check(store_uri: str, campaign: Campaign) -> str:
    """Check the base of a campaign, passed or not, and return the prefix of the published check."""
    return checked_base(open_store(store_uri), campaign, open_base(campaign.base, campaign.text)).prefix


@task(cache_policy=NO_CACHE)
def require_check(store_uri: str, campaign: Campaign) -> None:
    """Raise Refused if the base of a campaign fails its check. It is checked now if it was not before."""
    require_passed(open_store(store_uri), campaign, open_base(campaign.base, campaign.text))


def require_passed(store: Store, campaign: Campaign, base: Base) -> None:
    """Raise Refused if an open base fails its check."""
    refuse_if_failed(checked_base(store, campaign, base), campaign.base)


def checked_base(store: Store, campaign: Campaign, base: Base) -> Publication:
    """Return the check of a base for a campaign, which is done if the store does not have it."""
    inputs = check_inputs(base, campaign)
    check = inputs.check_id()
    if (published := find_check(store, campaign.name, inputs)) is not None:
        return published
    began = datetime.now(UTC)
    if check not in _CHECKED:
        say(f"base: checking {campaign.base} before anything is sampled")
        start = time.perf_counter()
        _CHECKED[check] = check_base(base, campaign)
        result = "passed" if _CHECKED[check]["passed"] else "failed"
        say(f"base: {result} in {time.perf_counter() - start:.1f} s")
    facts = _CHECKED[check]
    page = base_check_report(campaign, inputs, facts)
    return publish(
        store,
        inputs.prefix(campaign.name),
        "check",
        {"report.html": page.encode()},
        inputs=inputs._asdict(),
        facts=dict(facts),
        began=began,
    )
