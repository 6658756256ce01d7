"""Commands of the Andon cord: stop the line, release it, and see who did either and why."""

import sys
from contextlib import suppress
from typing import Annotated

import typer

from data.campaign import load_campaign
from data.cord import cord, hand_on
from data.cord.courier import Courier
from data.cord.entries import EVERYTHING, Pulled, ids
from data.errors import Refused
from data.escape import one_line
from data.paths import CAMPAIGNS, runs_prefix
from data.runs.leases import holder
from data.store import Store, folders, hurried, open_store
from data.store.user_state import username
from flows.cli.app import app
from flows.cli.options import STORE, By, Json, Reason, StoreUri, hint
from flows.cli.output import finish


@app.command()
def pull(
    reason: Reason,
    scope: Annotated[
        str | None, typer.Option("--scope", help="What to stop: everything, campaign:NAME or run:RUN.")
    ] = None,
    campaign: Annotated[str | None, typer.Option("--campaign", help="Stop this campaign only.")] = None,
    run: Annotated[str | None, typer.Option("--run", help="Stop this run only.")] = None,
    by: By = None,
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Pull the cord: stop the line.

    Trainings save their state and end. Nothing is exported, trained or promoted until the pull is released.
    """
    given = [campaign and f"campaign:{_name(campaign)}", run and f"run:{run}", scope]
    scopes = [one for one in given if one] or [EVERYTHING]
    if len(scopes) > 1:
        raise Refused("Give only one of --scope, --campaign and --run. Without any of them, everything stops.")
    opened = hurried(open_store(store))
    made = cord.pull(opened, reason, by=by or username(), scope=scopes[0], courier=Courier(opened))
    then = f"to release it: {hint(store, 'release', made.pull, '--reason', '...')}"
    lines = [f"{made.pull}: {made.scope} is stopped", then]
    if made.spooled:
        lines = [
            f"{made.pull}: kept on this machine, because {opened.uri} does not answer",
            "it will be handed on as soon as the store answers, and stops the line then. "
            f"Tell people too. To look: {hint(store, 'cord')}",
            then,
        ]
        hand_on.start(opened)
    finish(made.document(), as_json, lines)
    if not made.spooled:
        with suppress(Refused, OSError):  # the pull is recorded, even if the store cannot be read now
            if missing := _missing(opened, made.scope):
                sys.stderr.write(
                    f"andon: warning: {missing}. The pull is recorded, but nothing running was stopped. "
                    "Check the name.\n"
                )


@app.command()
def release(
    reason: Reason,
    pull_id: Annotated[
        str | None, typer.Argument(help="The id of the pull, as andon cord lists it.", metavar="PULL")
    ] = None,
    pulled_by: Annotated[
        str | None, typer.Option("--pulled-by", help="Release all open pulls of this person together.", metavar="NAME")
    ] = None,
    by: By = None,
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Release a pull, so that stopped commands can run again."""
    opened = hurried(open_store(store))
    if (pull_id is None) == (pulled_by is None):
        raise Refused("Name what to release: the id of one pull, or a person with --pulled-by.")
    if pulled_by is not None:
        released = cord.release_pulls_by(opened, pulled_by, by=by or username(), reason=reason)
    else:
        cord.release(opened, pull_id or "", by=by or username(), reason=reason)
        released = [pull_id or ""]
    still = [pull.pull for pull in cord.open_pulls(opened)]
    rest = f"still stopped by {ids(still)}" if still else "the line is free"
    verb = "is" if len(released) == 1 else "are"
    result = {"released": released[0] if pulled_by is None else released, "open": still}
    finish(result, as_json, [f"{ids(released)} {verb} released; {rest}"])


@app.command("cord")
def show_cord(store: StoreUri = STORE, as_json: Json = False) -> None:
    """List all pulls of the cord and their releases.

    The list says who pulled and why, with the evidence, and who released.
    """
    opened = hurried(open_store(store))
    pulls = cord.pulls(opened)
    result = {
        "store": opened.uri,
        "open": [one.pull.pull for one in pulls if one.release is None],
        "pulls": [one.pull.document() | {"released": one.release._asdict() if one.release else None} for one in pulls],
    }
    lines = [line for one in pulls for line in _pull_lines(one)]
    finish(result, as_json, lines or ["the cord has not been pulled"])


def _missing(store: Store, scope: str) -> str | None:
    """Say what a scope names that does not exist yet; the pull stops it as soon as it does."""
    kind, _, name = scope.partition(":")
    if scope == EVERYTHING:
        return None
    campaigns = list(folders(store, CAMPAIGNS))
    if kind == "campaign":
        exists = name in campaigns
    else:
        training = [held.run for one in campaigns if (held := holder(store, one))]
        exists = name in training or any(name in folders(store, runs_prefix(one)) for one in campaigns)
    there = ", ".join(campaigns) or "nothing"
    return None if exists else f"there is no {kind} {name} in {store.uri} (its campaigns: {there})"


def _pull_lines(pulled: Pulled) -> list[str]:
    made, freed = pulled
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
