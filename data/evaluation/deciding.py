"""The settings and the evaluation that decide about a run.

Neither is part of a run's id. A run has its own settings, and the settings of the last decision about it.
"""

from typing import cast

from data.campaign import Campaign
from data.canonical import Document, content_id
from data.evaluation.facts import evaluation_facts
from data.evaluation.systems import CHAMPION
from data.paths import run_prefix
from data.runs.champion import DecisionSettings, decisions_about, opponent_of, promotion_log
from data.runs.registry import Run, RunFacts, find_run
from data.shapes import checked_settings
from data.store import Store, folders
from data.store.manifest import Publication, read_manifest

WIN_RATES = ("win_rate", "champion_win_rate", "best_of_win_rate")


def decision_settings(campaign: Campaign) -> DecisionSettings:
    """Return the settings that decide about a run and are not part of its id."""
    document = campaign.model_dump(mode="json", include={"evaluation", "judges", "promotion"})
    return cast(DecisionSettings, document)


def settings_in_force(store: Store, campaign: str, run: str) -> Campaign | None:
    """Return a run's settings, with those of the last decision about it; None for old runs that do not record them."""
    own = find_run(store, campaign, run).facts.get("campaign")
    if own is None:
        return None
    decisions = decisions_about(promotion_log(store, campaign), run)
    recorded = [dict(entry["settings"]) for entry in decisions if "settings" in entry]
    together = {**own, **recorded[-1]} if recorded else own
    return checked_settings(together, Campaign, f"The campaign of {run}")


def facts_by_decision(store: Store, campaign: str, run: Run) -> RunFacts:
    """Return the facts of a finished run, with the win rates of the evaluation that decides about it.

    The run itself records those of its first evaluation.
    """
    if not later_evaluations(store, campaign, run.facts["run"]):
        return run.facts
    deciding = evaluation_facts(evaluation_of(store, campaign, run.facts["run"]))
    return cast(RunFacts, cast(Document, run.facts) | {name: deciding.get(name) for name in WIN_RATES})


def later_evaluations(store: Store, campaign: str, run: str) -> list[Publication]:
    """Return the published evaluations of a run other than its first one, by name."""
    folder = f"{run_prefix(campaign, run)}/evaluations"
    return list(filter(None, (read_manifest(store, f"{folder}/{name}") for name in folders(store, folder))))


def evaluations_by(store: Store, campaign: str, run: str, settings: Campaign | None) -> list[Publication]:
    """Return the evaluations of a finished run by these settings, oldest first.

    None means the settings of its first evaluation.
    """
    finished = find_run(store, campaign, run)
    first = read_manifest(store, finished.manifest["inputs"]["evaluation"])
    assert first is not None
    rules, own = content_id(settings.measuring()) if settings else None, first.get("rules")
    if finished.facts.get("campaign") is not None:
        now = content_id(checked_settings(finished.facts["campaign"], Campaign, f"The campaign of {run}").measuring())
        own = own or now  # old evaluations do not record their settings
        rules = own if rules == now else rules  # old campaigns lack some of today's settings
    others = later_evaluations(store, campaign, run)
    in_order = [first, *sorted(others, key=lambda other: str(other.manifest["ended"]))]
    by_prefix = {evaluation.prefix: evaluation for evaluation in in_order}
    return [evaluation for evaluation in by_prefix.values() if evaluation.get("rules", own) in (rules or own, None)]


def evaluation_of(store: Store, campaign: str, run: str, settings: Campaign | None = None) -> Publication:
    """Return the evaluation that decides about a finished run: the first one that includes the champion to beat.

    Only evaluations by `settings` (default: the settings in force) decide. A later evaluation by the same settings
    never decides, because otherwise a user could repeat evaluations until one passes.
    """
    leader = opponent_of(store, campaign, run)
    by_rules = evaluations_by(store, campaign, run, settings or settings_in_force(store, campaign, run))
    with_leader = [evaluation for evaluation in by_rules if evaluation.get("runs", {}).get(CHAMPION) == leader]
    if candidates := [*with_leader, *by_rules]:
        return candidates[0]
    first = read_manifest(store, find_run(store, campaign, run).manifest["inputs"]["evaluation"])
    assert first is not None
    return first
