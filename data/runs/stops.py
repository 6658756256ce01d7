"""Where a training was stopped, and the pulls that concern a run."""

from collections.abc import Sequence

from data.canonical import Document
from data.cord import cord
from data.cord.entries import Pulled
from data.paths import run_prefix
from data.store import Store, log


def record_stop(store: Store, campaign: str, run: str, step: str, update: int, pulls: Sequence[str]) -> None:
    """Record in a run that `step` of it was stopped after `update` updates: its state is quarantined."""
    entry = {"kind": "stopped", "step": step, "update": update, "pulls": list(pulls)}
    log.append(store, _stops(campaign, run), lambda _: entry)


def stops(store: Store, campaign: str, run: str) -> list[Document]:
    """Return where and by which pulls a run was stopped, oldest first."""
    return log.entries(store, _stops(campaign, run))


def pulls_about(store: Store, campaign: str, run: str) -> list[Pulled]:
    """Return the pulls of this run alone, those that stopped a training of it, and those that stop it now."""
    recorded = {pull for entry in stops(store, campaign, run) for pull in entry["pulls"]}
    return [
        each
        for each in cord.pulls(store)
        if each.pull.scope == f"run:{run}"
        or each.pull.pull in recorded
        or (each.release is None and each.pull.stops(campaign, run))
    ]


def _stops(campaign: str, run: str) -> str:
    return f"{run_prefix(campaign, run)}/stopped/log"
