"""Commands that move the champion: `andon promote` and `andon rollback`."""

from typing import Annotated

import typer

from data.campaign import load_campaign
from data.cord.cord import open_pulls
from data.evaluation.deciding import evaluation_of, settings_in_force
from data.evaluation.gate import promote_by_hand
from data.runs.champion import rollback
from data.store import open_store
from data.store.user_state import username
from flows.cli.app import app
from flows.cli.campaigns import name_of
from flows.cli.options import STORE, By, InStore, Json, Name, Reason, StoreUri, hint
from flows.cli.output import finish


@app.command("promote")
def promote_run(
    campaign: Name,
    run: Annotated[str, typer.Argument(help="A finished run.", metavar="RUN")],
    reason: Annotated[
        str | None,
        typer.Option("--reason", help="The reason, which is recorded. It is required if the run fails the gate."),
    ] = None,
    by: By = None,
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Make the policy of a run the champion.

    Without --reason the run must pass the gate. With --reason the log and the reports say what spoke against it.
    """
    opened, settings = open_store(store), load_campaign(campaign)
    settings = settings_in_force(opened, settings.name, run) or settings  # older runs do not name theirs
    evaluation = evaluation_of(opened, settings.name, run)
    entry = promote_by_hand(opened, settings, run, reason, by or username(), evaluation)
    against = entry["against"] if entry else []
    lines = [
        f"champion of {campaign}: {run}" + ("" if entry else ", as before; nothing was recorded"),
        *(f"  despite: {objection}" for objection in against),
    ]
    finish({"champion": run, "changed": entry is not None, "against": against}, as_json, lines)


@app.command("rollback")
def roll_back(campaign: InStore, reason: Reason, by: By = None, store: StoreUri = STORE, as_json: Json = False) -> None:
    """Make the previous champion the champion again."""
    opened = open_store(store)
    name = name_of(campaign, opened)
    entry = rollback(opened, name, reason, by or username())
    stopped = [pull.pull for pull in open_pulls(opened, name, entry["run"])] if entry["run"] else []
    lines = [f"champion of {campaign}: {entry['run'] or 'the base'}"]
    lines += [f"  stopped by {pull}; to use it: {hint(store, 'release', pull, '--reason', '...')}" for pull in stopped]
    finish({"champion": entry["run"], "stopped_by": stopped}, as_json, lines)
