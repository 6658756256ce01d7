"""Commands of the Andon cord: stop the line, let it go on, and see who did either and why."""

import sys
from contextlib import suppress
from typing import Annotated

import typer

from data.campaign import load_campaign
from data.cord import cord
from data.cord.cord import Pulled
from data.errors import Refused
from data.escape import one_line
from data.paths import CAMPAIGNS, runs_prefix
from data.runs.leases import holder
from data.store import Store, folders, open_store
from data.store.user_state import username
from flows.cli.options import STORE, By, Json, Reason, StoreUri, app, finish
from flows.cli.output import Result


@app.command()
def pull(
    reason: Reason,
    scope: Annotated[str | None, typer.Option("--scope", help="everything, campaign:NAME or run:RUN")] = None,
    campaign: Annotated[str | None, typer.Option("--campaign", help="stop this campaign only")] = None,
    run: Annotated[str | None, typer.Option("--run", help="stop this run only")] = None,
    by: By = None,
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Pull the cord: stop the line.

    Trainings save their state and leave; nothing is exported, trained or promoted until the pull is released.
    """
    named = [campaign and f"campaign:{_name(campaign)}", run and f"run:{run}", scope]
    scopes = [each for each in named if each] or [cord.EVERYTHING]
    if len(scopes) > 1:
        raise Refused("Name one of --scope, --campaign and --run; without any, everything stops.")
    opened = open_store(store)
    made = cord.pull(opened, reason, by=by or username(), scope=scopes[0])
    lines = [f"{made.pull}: {made.scope} is stopped", f"to go on: andon release {made.pull} --reason ..."]
    if made.spooled:
        lines[0] = f"{made.pull}: kept on this machine, for {opened.uri} cannot be reached"
        lines.insert(1, "it stops the line with the next andon command here that reaches the store: andon cord")
    finish(made._asdict(), as_json, lines)
    if not made.spooled:
        with suppress(Refused, OSError):  # the pull stands, whatever the store cannot say just now
            if unknown := _unknown(opened, made.scope):
                sys.stderr.write(f"andon: {unknown}: if that is a slip, nothing that runs was stopped\n")


@app.command()
def release(
    pull_id: Annotated[str, typer.Argument(help="as andon cord lists it", metavar="PULL")],
    reason: Reason,
    by: By = None,
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Release a pull: what was stopped goes on when its command is run again."""
    opened = open_store(store)
    cord.release(opened, pull_id, by=by or username(), reason=reason)
    still = [each.pull for each in cord.open_pulls(opened)]
    rest = f"still stopped by {', '.join(still)}" if still else "the line is free"
    finish({"released": pull_id, "open": still}, as_json, [f"{pull_id} is released; {rest}"])


@app.command("cord")
def show_cord(store: StoreUri = STORE, as_json: Json = False) -> None:
    """Show all pulls: by whom and why, with what evidence, and who released them."""
    opened = open_store(store)
    found = cord.pulls(opened)
    result: Result = {
        "store": opened.uri,
        "open": [each.pull.pull for each in found if each.release is None],
        "pulls": [
            each.pull._asdict() | {"released": each.release._asdict() if each.release else None} for each in found
        ],
    }
    lines = [line for each in found for line in _told(each)]
    finish(result, as_json, lines or ["nobody has pulled the cord"])


def _unknown(store: Store, scope: str) -> str | None:
    """Say where a pull stops nothing that there is: it stands all the same, for whatever comes by that name."""
    kind, _, name = scope.partition(":")
    if scope == cord.EVERYTHING:
        return None
    campaigns = list(folders(store, CAMPAIGNS))
    if kind == "campaign":
        known = name in campaigns
    else:
        training = [held.run for each in campaigns if (held := holder(store, each))]
        known = any(name in folders(store, runs_prefix(each)) for each in campaigns)
        known = known or name in training
    there = ", ".join(campaigns) or "nothing"
    return None if known else f"there is no {kind} {name} in {store.uri} yet (its campaigns: {there})"


def _told(each: Pulled) -> list[str]:
    made, freed = each
    state = "released" if freed else "STOPPED"
    lines = [f"{made.pull}  {state:<8}  {made.at}  {made.scope}  by {one_line(made.by)}"]
    lines.append(f"  {one_line(made.reason)}")
    lines += [f"  {one_line(name)}: {one_line(str(value))}" for name, value in made.evidence.items()]
    if made.spooled:
        lines.append("  kept on this machine: the store does not take it yet")
    if freed:
        lines.append(f"  released by {one_line(freed.by)} at {freed.at}: {one_line(freed.reason)}")
    return lines


def _name(campaign: str) -> str:
    return load_campaign(campaign).name if campaign.endswith(".toml") else campaign
