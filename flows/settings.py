"""The settings of a flow run: those of a campaign, changed by a preset and by parameters of the flow."""

from typing import Any

from data.campaign import Campaign, load_campaign
from data.errors import Refused
from data.evaluation.deciding import settings_in_force
from data.store import Store


def configured(
    campaign: str,
    preset: str | None = None,
    *,
    questions: int | None = None,
    base: str | None = None,
    queries: int | None = None,
) -> Campaign:
    """Load a campaign, and change it by a preset and by parameters."""
    changes: dict[str, Any] = {}
    if questions is not None:
        changes["batch"] = {"questions": questions}
    if base is not None:
        changes["base"] = base
    if queries is not None:
        changes["evaluation"] = {"queries": queries}
    return load_campaign(campaign, preset, changes)


def settings_of(store: Store, campaign: str, run: str, *, base: str | None, queries: int | None) -> Campaign:
    """Return the settings of a finished run, with another place of its base and another number of test queries.

    The evaluation and the bar are those of the last decision about the run.
    """
    settings = settings_in_force(store, campaign, run)
    if settings is None:
        raise Refused(f"{run} was trained by an older Andon and does not name its settings: train it again.")
    evaluation = settings.evaluation.model_copy(update={"queries": queries or settings.evaluation.queries})
    return settings.model_copy(update={"evaluation": evaluation, "base": base or settings.base})
