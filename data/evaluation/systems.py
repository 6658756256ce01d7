"""The systems that an evaluation compares: their names in the paper, and their places in a store."""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from data.campaign import Campaign
from data.campaign.queries import load_queries
from data.campaign.settings import TextFormat
from data.errors import Refused, SystemUnavailable
from data.paths import run_prefix
from data.runs.champion import champion
from data.runs.registry import find_run, runs
from data.shapes import checked_settings
from data.store import Store
from data.store.manifest import Publication, read_manifest

ZERO_SHOT, CHAMPION = "zero-shot", "champion"
NAMES = ("reference", "lead-3", ZERO_SHOT, "supervised", "rl", "supervised-rl", "best-of-n", CHAMPION)
BEST_OF = re.compile(r"best-of-(\d{1,3})")
LEAD = 3


class System(NamedTuple):
    """A source of responses: people, a rule, a language model, or the base's best of n by a reward model."""

    name: str  # its name in tables
    kind: Literal["reference", "lead", "model", "best of"]
    run: str | None = None  # the run that trained its model
    model: str | None = None  # prefix of the published model; None: the base
    n: int = 1  # number of responses that best of n chooses from


def find_systems(store: Store, campaign: Campaign, names: Sequence[str]) -> list[System]:
    """Return the systems of these names; raise Refused for a system that the campaign does not have."""
    systems = [_find(store, campaign, name.strip()) for name in names]
    for number, system in enumerate(systems):
        for other in systems[:number]:
            if system[1:] == other[1:]:
                raise Refused(f"{other.name} and {system.name} are the same system. Leave one of them out.")
    if len(systems) < 2:
        raise Refused(f"An evaluation compares systems. Name at least two of {', '.join(NAMES)}, or run ids.")
    return systems


def all_systems(store: Store, campaign: Campaign) -> list[str]:
    """Return the names of the systems that a campaign has now. A system with two names occurs once."""
    names: dict[tuple[object, ...], str] = {}
    for name in NAMES:
        try:
            system = _find(store, campaign, name)
        except SystemUnavailable:
            continue
        names.setdefault(system[1:], name)
    return list(names.values())


def _find(store: Store, campaign: Campaign, name: str) -> System:
    if name == "reference":
        if not any(query.response for query in load_queries(campaign.text, "test")):
            raise SystemUnavailable(
                f"{name}: none of the test queries has a reference response in {campaign.text.queries}."
            )
        return System(name, "reference")
    if name == ZERO_SHOT:
        return System(name, "model")
    if name == f"lead-{LEAD}":
        if not campaign.text.summarizes:
            raise SystemUnavailable(
                f"{name} is a baseline for summaries: the first sentences of the query. Campaign {campaign.name} has "
                "no text.suffix that asks for a summary."
            )
        return System(name, "lead")
    if name in ("rl", "supervised", "supervised-rl"):
        return _trained(store, campaign, name)
    if name == "best-of-n" or BEST_OF.fullmatch(name):
        return _best_of(store, campaign, name)
    if name == CHAMPION:
        leader = champion(store, campaign.name)
        if leader is None:
            raise SystemUnavailable(f"Campaign {campaign.name} has no champion yet, so its champion is zero-shot.")
        return _policy(store, campaign, name, leader)
    if name.startswith("run-"):
        return _policy(store, campaign, name, name)
    offered = f"{', '.join(NAMES)}, best-of-2 to best-of-999, and run ids"
    raise Refused(f"There is no system {name}. Choose from {offered}.")


def _trained(store: Store, campaign: Campaign, name: str) -> System:
    """Return the newest model of a kind, trained with or without supervised fine-tuning first."""
    tuned = name != "rl"
    for run in reversed(runs(store, campaign.name)):
        if (run.facts["recipe"].get("supervised") is not None) == tuned and run.facts["base"] == campaign.base:
            if name == "supervised":
                return System(
                    name, "model", run.facts["run"], f"{run_prefix(campaign.name, run.facts['run'])}/supervised"
                )
            return _policy(store, campaign, name, run.facts["run"])
    how = f"andon retrain {campaign.name}{' with a preset that has [supervised]' if tuned else ''}"
    start = "with supervised fine-tuning" if tuned else "from the base itself"
    raise SystemUnavailable(
        f"Campaign {campaign.name} has no {name} model of {campaign.base} in {store.uri}: no finished run started "
        f"{start}. Train one with {how}."
    )


def _policy(store: Store, campaign: Campaign, name: str, run: str) -> System:
    base = find_run(store, campaign.name, run).facts["base"]
    if base != campaign.base:
        raise SystemUnavailable(
            f"{name} was trained from the base {base}, but this evaluation uses {campaign.base}. "
            "Give the base of the run with --base."
        )
    return System(name, "model", run, f"{run_prefix(campaign.name, run)}/policy")


def _best_of(store: Store, campaign: Campaign, name: str) -> System:
    match = BEST_OF.fullmatch(name)
    n = int(match[1]) if match else campaign.evaluation.best_of
    if n < 2:
        raise SystemUnavailable(
            f"{name} does not say how many responses to choose from. Write best-of-4, or set best_of in "
            f"[evaluation] of {campaign.name}."
        )
    scorer = last_reward_run(store, campaign)
    if scorer is None:
        raise SystemUnavailable(
            f"{name} chooses by a reward model, and campaign {campaign.name} has no finished run yet."
        )
    return System(f"best-of-{n}", "best of", scorer, None, n)


def last_reward_run(store: Store, campaign: Campaign) -> str | None:
    """Return the newest finished run from this campaign's base. Its reward model scores the systems' responses."""
    mine = [run.facts["run"] for run in runs(store, campaign.name) if run.facts["base"] == campaign.base]
    return mine[-1] if mine else None


def other_rules(store: Store, campaign: Campaign, systems: Sequence[System]) -> dict[str, list[str]]:
    """Return the text settings of each policy's training that differ from this evaluation's, if there are any."""
    differing = {}
    for system in systems:
        run = read_manifest(store, run_prefix(campaign.name, system.run)) if system.run and system.model else None
        trained = run.get("campaign") if run else None  # during its first evaluation a run is not published yet
        if trained:
            theirs = checked_settings(trained["text"], TextFormat, f"The text format of {system.run}")
            if names := campaign.text.differing(theirs):
                differing[system.name] = names
    return differing


def model_of(store: Store, system: System) -> Publication:
    """Return the published model of a system with a model of its own."""
    assert system.model is not None
    published = read_manifest(store, system.model)
    if published is None:
        raise Refused(f"{system.name} is not finished: {system.model} is missing in {store.uri}.")
    return published
