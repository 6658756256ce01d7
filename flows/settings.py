"""The settings that a flow run works with: a campaign, a preset of it, and what was asked for by hand."""

from typing import Any

from data.campaign import Campaign, load_campaign


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
