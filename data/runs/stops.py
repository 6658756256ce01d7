"""Stops of trainings by the cord, and the pulls that concern a run."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict, cast

from data.canonical import Document
from data.cord import cord
from data.cord.entries import Pulled
from data.paths import run_prefix
from data.store import Store, log


class StopEntry(TypedDict):
    """A stop of one training of a run."""

    kind: str
    step: str
    update: int  # number of updates before the stop
    pulls: list[str]
    number: NotRequired[int]  # the log adds number and time
    at: NotRequired[str]


def record_stop(store: Store, campaign: str, run: str, step: str, update: int, pulls: Sequence[str]) -> None:
    """Record that a step of a run was stopped after `update` updates. Its state is quarantined."""
    entry: StopEntry = {"kind": "stopped", "step": step, "update": update, "pulls": list(pulls)}
    log.append(store, _stops(campaign, run), lambda _: cast(Document, entry))


def stops(store: Store, campaign: str, run: str) -> list[StopEntry]:
    """Return the recorded stops of a run, oldest first."""
    return cast(list[StopEntry], log.entries(store, _stops(campaign, run)))


def pulls_about(store: Store, campaign: str, run: str) -> list[Pulled]:
    """Return the pulls that concern a run: for this run alone, those that stopped it, and those that stop it now."""
    recorded = {pull for entry in stops(store, campaign, run) for pull in entry["pulls"]}
    return [
        pulled
        for pulled in cord.pulls(store)
        if pulled.pull.scope == f"run:{run}"
        or pulled.pull.pull in recorded
        or (pulled.release is None and pulled.pull.stops(campaign, run))
    ]


def _stops(campaign: str, run: str) -> str:
    return f"{run_prefix(campaign, run)}/stopped/log"
