"""Commands of the labeling page: serve it, take in what was answered on it, and keep the list of labelers."""

import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from andon_launcher import command
from data.batches.index import Batch, batches
from data.campaign import load_campaign
from data.errors import Refused
from data.evaluation.human_evaluation import human_evaluations
from data.page import accounts as roster
from data.page.answers import collect, mark_delivered
from data.paths import name_in
from data.store import Store, open_store
from flows.cli.ingest import ingest_by_hand
from flows.cli.options import STORE, Json, Name, StoreUri, app, finish
from flows.cli.output import ingested_lines

people = typer.Typer(help="Keep the list of people who may label, pull the cord, and release it.", no_args_is_help=True)
app.add_typer(people, name="labelers")
Who = Annotated[str, typer.Argument(help="as it shall stand in the labels", metavar="NAME")]


@app.command()
def label(
    campaign: Name,
    store: StoreUri = STORE,
    batch: Annotated[
        str | None, typer.Option("--batch", help="which batch or comparison; without it, the newest batch")
    ] = None,
    collect_only: Annotated[
        bool, typer.Option("--collect", help="take in what was answered so far, and serve nothing")
    ] = False,
    listen: Annotated[str, typer.Option("--listen", help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0: any free one")] = 0,
    public: Annotated[
        str | None, typer.Option("--public", help="https:// address of the proxy in front, where there is one")
    ] = None,
    as_json: Json = False,
) -> None:
    """Serve the labeling page and the live wall.

    What was answered is taken in when all is answered, when the page is stopped, and by --collect.
    """
    name = load_campaign(campaign).name
    opened = open_store(store)
    asked = _batch(opened, name, batch, campaign)
    name = name_in(asked.prefix)  # a comparison of systems is kept apart from the campaign's own batches
    if not collect_only:
        from web.serve import check_address, serve

        check_address(listen, public)
        if not roster.labelers(opened):
            raise Refused(f"Nobody may label in {opened.uri} yet: andon labelers add NAME --store {store} first.")
        again = command("flows.cli", "label", campaign, "--collect", "--store", store, "--batch", str(asked["batch"]))

        def finished() -> None:
            sys.stderr.write("andon: the last question is answered; taking the answers in\n")
            threading.Thread(target=subprocess.run, args=(again,)).start()

        def ready(url: str) -> None:
            sys.stderr.write(f"andon: batch {asked['batch']} of {name} at {url}  (Ctrl-C ends it)\n")

        signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service is stopped as a person's Ctrl-C stops it
        with suppress(KeyboardInterrupt):
            serve(opened, name, asked, listen=listen, port=port, public=public, ready=ready, finished=finished)
    _take_in(opened, store, campaign, name, asked, as_json)


def _take_in(store: Store, uri: str, campaign: str, name: str, batch: Batch, as_json: bool) -> None:
    """Write what was answered as an answer file, and ingest it by the way that every vendor's goes."""
    with tempfile.TemporaryDirectory() as folder:
        collected = collect(store, name, batch["batch"], Path(folder))
        if collected is None:
            finish({"batch": batch["batch"], "answers": 0}, as_json, ["nothing new was answered on the page"])
            return
        outcome = ingest_by_hand(campaign, uri, collected.path)
        mark_delivered(store, name, batch["batch"], collected.answers)
    result = outcome._asdict() | {"answers": len(collected.answers)}
    finish(result, as_json, ingested_lines(outcome, campaign))


def _batch(store: Store, name: str, batch: str | None, campaign: str) -> Batch:
    published = {str(each["batch"]): each for each in [*human_evaluations(store, name), *batches(store, name)]}
    if not published:
        raise Refused(f"Campaign {name} has no batch in {store.uri}: run andon export {campaign} first.")
    if batch is not None and batch not in published:
        raise Refused(f"There is no batch {batch} of {name} in {store.uri}; there are: {', '.join(published)}.")
    return published[batch] if batch else list(published.values())[-1]


@people.command("add")
def add(
    name: Who,
    may: Annotated[str, typer.Option("--may", help="label, pull, release: separated by commas")] = "label,pull",
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="how long the token is good for")] = 180,
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Put a person on the list, and show their token: once, and never again."""
    roles = [role.strip() for role in may.split(",") if role.strip()]
    token = roster.add(open_store(store), name, roles, days)
    lines = [f"{name} may {', '.join(roles)}", f"token (shown only now): {token}"]
    finish({"name": name, "may": roles, "token": token}, as_json, lines)


@people.command("revoke")
def revoke(name: Who, store: StoreUri = STORE, as_json: Json = False) -> None:
    """End a person's token and sessions; their answers stay."""
    roster.revoke(open_store(store), name)
    finish({"revoked": name}, as_json, [f"{name} is off the list"])


@people.command("list")
def show(store: StoreUri = STORE, as_json: Json = False) -> None:
    """List who may do what, and until when."""
    listed = roster.labelers(open_store(store))
    rows = [{"name": each.name, "may": each.may, "expires": each.expires} for each in listed.values()]
    lines = [f"{each.name:<24} {', '.join(each.may):<22} until {each.expires[:10]}" for each in listed.values()]
    finish({"labelers": rows}, as_json, lines or ["nobody is on the list: andon labelers add NAME"])
