"""By which settings and by which evaluation a run is decided.

Neither is part of a run's id. So a run has its own settings, and those of the last decision about it.
"""

from typing import cast

from data.campaign import Campaign
from data.canonical import content_id
from data.evaluation.systems import CHAMPION
from data.paths import run_prefix
from data.runs.champion import DecisionSettings, decisions_about, opponent_of, promotion_log
from data.runs.registry import find_run
from data.store import Store, folders
from data.store.manifest import Publication, read_manifest


def decision_settings(campaign: Campaign) -> DecisionSettings:
    """Return the settings by which a run is decided, and which are no part of its id."""
    document = campaign.model_dump(mode="json", include={"evaluation", "judges", "promotion"})
    return cast(DecisionSettings, document)


def settings_in_force(store: Store, campaign: str, run: str) -> Campaign | None:
    """Return a run's own settings, with those of the last decision about it; None for runs that do not name theirs."""
    own = find_run(store, campaign, run).facts.get("campaign")
    if own is None:
        return None
    decisions = decisions_about(promotion_log(store, campaign), run)
    recorded = [dict(entry["settings"]) for entry in decisions if "settings" in entry]
    return Campaign.model_validate(own | (recorded[-1] if recorded else {}))


def evaluations_by(store: Store, campaign: str, run: str, settings: Campaign | None) -> list[Publication]:
    """Return the evaluations of a finished run by these settings, oldest first; None: by those of its first one."""
    finished = find_run(store, campaign, run)
    first = read_manifest(store, finished.manifest["inputs"]["evaluation"])
    assert first is not None
    rules, own = content_id(settings.measuring()) if settings else None, first.get("rules")
    if finished.facts.get("campaign") is not None:
        now = content_id(Campaign.model_validate(finished.facts["campaign"]).measuring())
        own = own or now  # evaluations did not always say by which settings they are
        rules = own if rules == now else rules  # nor had a campaign always the settings that it has now
    folder = f"{run_prefix(campaign, run)}/evaluations"
    others = [each for name in folders(store, folder) if (each := read_manifest(store, f"{folder}/{name}")) is not None]
    known = {each.prefix: each for each in [first, *sorted(others, key=lambda each: str(each.manifest["ended"]))]}
    return [each for each in known.values() if each.get("rules", own) in (rules or own, None)]


def evaluation_of(store: Store, campaign: str, run: str, settings: Campaign | None = None) -> Publication:
    """Return the evaluation that decides about a finished run: the first one beside the champion that it has to beat.

    Only an evaluation by `settings` decides, by default those in force, and never a later one by the same settings:
    else somebody tries until one suits.
    """
    leader = opponent_of(store, campaign, run)
    by_rules = evaluations_by(store, campaign, run, settings or settings_in_force(store, campaign, run))
    beside = [each for each in by_rules if each.get("runs", {}).get(CHAMPION) == leader]
    if chosen := [*beside, *by_rules]:
        return chosen[0]
    first = read_manifest(store, find_run(store, campaign, run).manifest["inputs"]["evaluation"])
    assert first is not None
    return first
