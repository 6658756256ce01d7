"""The settings that a flow run works with: a campaign, a preset of it, and what was asked for by hand."""

from typing import Any

from data.campaign import Campaign, load_campaign
from data.errors import Refused
from data.evaluation.gate import settings_in_force
from data.store import Store


def configured(
    campaign: str,
    preset: str | None = None,
    *,
    questions: int | None = None,
    base: str | None = None,
    queries: int | None = None,
) -> Campaign:
    """Load a campaign with the changes that a person asked for."""
    changes: dict[str, Any] = {}
    if questions is not None:
        changes["batch"] = {"questions": questions}
    if base is not None:
        changes["base"] = base
    if queries is not None:
        changes["evaluation"] = {"queries": queries}
    return load_campaign(campaign, preset, changes)


def settings_of(store: Store, campaign: str, run: str, *, base: str | None, queries: int | None) -> Campaign:
    """Return the settings that a finished run was trained with and last decided by.

    `base` and `queries` replace where its base is now, and how many test queries are asked.
    """
    settings = settings_in_force(store, campaign, run)
    if settings is None:
        raise Refused(f"{run} was trained by an older Andon and does not name its settings: train it again.")
    asked = settings.evaluation.model_copy(update={"queries": queries or settings.evaluation.queries})
    return settings.model_copy(update={"evaluation": asked, "base": base or settings.base})
