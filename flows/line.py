"""Commands that stop the line and let it go on: the Andon cord."""

from typing import Annotated

import typer

from data.cord import EVERYTHING, history, release, replay, this_person
from data.cord import pull as pull_cord
from data.refused import Refused
from data.store import open_store
from flows.options import STORE, Json, Reason, StoreUri, app, finish

By = Annotated[str | None, typer.Option("--by", help="who; without it, the user of this account")]


@app.command()
def pull(
    reason: Reason,
    campaign: Annotated[str | None, typer.Option("--campaign", help="stop this campaign only")] = None,
    run: Annotated[str | None, typer.Option("--run", help="stop this run only")] = None,
    by: By = None,
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Stop the line: trainings save and leave, and nothing new begins.

    Without --campaign or --run it stops everything. What was pulled stays pulled until somebody releases it.
    """
    if campaign is not None and run is not None:
        raise Refused("A pull stops a campaign or a run: give one of --campaign and --run.")
    scope = f"campaign:{campaign}" if campaign else f"run:{run}" if run else EVERYTHING
    made = pull_cord(open_store(store), reason, by=by or this_person(), scope=scope)
    lines = [f"pulled: {made}", f"to let the line go on: andon release {made.pull} --reason ..."]
    if made.spooled:
        lines.insert(1, f"{store} is out of reach: the pull waits on this machine, and the next command hands it in")
    finish(made._asdict(), as_json, lines)


@app.command("release")
def let_go(
    name: Annotated[str, typer.Argument(help="the pull, as andon cord shows it", metavar="PULL")],
    reason: Reason,
    by: By = None,
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Let the line go on after a pull.

    Other pulls stay pulled. What was stopped goes on from its checkpoint when its command is run again.
    """
    opened = open_store(store)
    replay(opened)
    done = release(opened, name, by=by or this_person(), reason=reason)
    finish(done._asdict(), as_json, [f"released: {done.pull} by {done.by}: {done.reason}"])


@app.command()
def cord(store: StoreUri = STORE, as_json: Json = False) -> None:
    """Show who pulled the cord, why, and who let the line go on."""
    opened = open_store(store)
    replay(opened)
    found = history(opened)
    lines = []
    for made, released in found:
        lines.append(f"{'stopped ' if released is None else 'released'}  {made}")
        lines += [f"          {name}: {value}" for name, value in made.evidence.items()]
        if released is not None:
            lines.append(f"          {released.at} by {released.by}: {released.reason}")
    open_ = [made._asdict() for made, released in found if released is None]
    result = {
        "stopped": bool(open_),
        "open": open_,
        "pulls": [made._asdict() | {"released": released and released._asdict()} for made, released in found],
    }
    finish(result, as_json, lines or ["nobody has pulled the cord"])
