"""Commands of the labeling page: serve the page, ingest its answers, and keep the list of labelers."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import takewhile
from typing import Annotated

import typer

from andon_launcher import command
from data.batches.index import Batch, batches
from data.campaign import load_campaign
from data.errors import Refused
from data.evaluation.human_evaluation import human_evaluations
from data.ingest.page_delivery import PageChoice, check_choice
from data.page import accounts as roster
from data.paths import name_in
from data.store import Store, open_store
from data.store.user_state import username
from flows.cli.app import FullSentences, app
from flows.cli.options import STORE, By, Json, Name, StoreUri, hint
from flows.cli.output import finish
from flows.cli.page_answers import ingest_answers

LOOK_S = 5.0  # the time between two looks for a batch

people = typer.Typer(cls=FullSentences, no_args_is_help=True, rich_markup_mode=None)


class NotYet(Refused):
    """The page has nothing to serve, or nobody to serve it to."""


@people.callback()
def keep_labelers() -> None:
    """List, add and remove the people who may use the labeling page.

    Each of them may label, pull the cord or release a pull.
    """


app.add_typer(people, name="labelers")
Person = Annotated[str, typer.Argument(help="The person's name, as the labels shall have it.", metavar="NAME")]


@app.command()
def label(
    campaign: Name,
    store: StoreUri = STORE,
    batch: Annotated[
        str | None, typer.Option("--batch", help="The batch or comparison. The default is the newest batch.")
    ] = None,
    collect_only: Annotated[
        bool, typer.Option("--collect", help="Ingest the answers given so far, and do not serve the page.")
    ] = False,
    listen: Annotated[str, typer.Option("--listen", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="The port. 0 is any free port.")] = 0,
    public: Annotated[
        str | None, typer.Option("--public", help="The https:// address of a proxy in front of the page.")
    ] = None,
    trust_proxy: Annotated[
        list[str] | None,
        typer.Option("--trust-proxy", help="The proxy's address or network: believe its X-Forwarded-For."),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="NAME", help="Do not ingest the answers of this labeler. They stay saved."),
    ] = None,
    despite: Annotated[
        list[str] | None,
        typer.Option(
            "--despite", metavar="FINDING", help="Ingest answers with this finding too. The log records who decided it."
        ),
    ] = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Serve the labeling page and the live wall.

    The answers are ingested when the last question is answered, when the page is stopped, and by --collect. With
    --public the page is a service: it waits until there is a batch and a labeler.
    """
    name = load_campaign(campaign).name
    opened = open_store(store)
    choice = PageChoice(tuple(despite or ()), tuple(without or ()), by or username())
    check_choice(opened, choice)

    def find_batch() -> Batch:
        published = _batch(opened, name, batch, hint(store, "export", campaign))
        if not collect_only and not roster.accounts(opened):
            add_one = hint(store, "labelers", "add", "NAME")
            raise NotYet(f"There are no labelers in {opened.uri}. Add one first: {add_one}")
        return published

    if collect_only:
        served = find_batch()
    else:
        from web.desk import Desk
        from web.desks import Desks
        from web.serve import check_address, serve

        address = check_address(listen, port, public, trust_proxy or ())
        served = find_batch() if public is None else _wait_for(find_batch)
    name = name_in(served.prefix)  # comparisons of systems are kept apart from the campaign's own batches
    if not collect_only:
        to_collect = [served]

        def finished(batch_id: str) -> None:
            sys.stderr.write(f"andon: the last question of {batch_id} is answered; ingesting the answers\n")
            options = ["--collect", "--store", store, "--batch", batch_id, "--by", choice.by]
            options += [word for code in choice.despite for word in ("--despite", code)]
            options += [word for labeler in choice.without for word in ("--without", labeler)]
            threading.Thread(target=subprocess.run, args=(command("flows.cli", "label", campaign, *options),)).start()

        def newer(desk: Desk) -> Desk | None:
            published = [one for one in batches(opened, name) if batch is None]
            after = list(takewhile(lambda one: one["batch"] != desk.batch, reversed(published)))
            if not after:
                return None
            sys.stderr.write(f"andon: the page continues with batch {after[-1]['batch']}\n")
            to_collect.append(after[-1])
            return Desk(opened, name, after[-1])

        def ready(url: str) -> None:
            sys.stderr.write(f"andon: batch {served['batch']} of {name} at {url}  (Ctrl-C stops the page)\n")

        signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop a service as a person's Ctrl-C stops it
        with suppress(KeyboardInterrupt):
            serve(opened, Desks(Desk(opened, name, served), newer, finished), address, ready=ready)
        *earlier, served = to_collect
        for one in earlier:
            try:
                ingest_answers(opened, store, campaign, one, choice, as_json)
            except Refused as refusal:  # the answers to the other batches are ingested all the same
                sys.stderr.write(f"andon: batch {one['batch']}: {refusal}\n")
    ingest_answers(opened, store, campaign, served, choice, as_json)


def _batch(store: Store, name: str, batch: str | None, exporting: str) -> Batch:
    published = {str(one["batch"]): one for one in [*human_evaluations(store, name), *batches(store, name)]}
    if not published:
        raise NotYet(f"Campaign {name} has no batch in {store.uri}. Export one first: {exporting}")
    if batch is not None and batch not in published:
        raise Refused(f"There is no batch {batch} of {name} in {store.uri}. Its batches: {', '.join(published)}.")
    return published[batch] if batch else list(published.values())[-1]


def _wait_for(find: Callable[[], Batch]) -> Batch:
    """Look again until there is something to serve, and say what is missing when that changes."""
    last = ""
    while True:
        try:
            return find()
        except NotYet as missing:
            if str(missing) != last:
                last = str(missing)
                sys.stderr.write(f"andon: the page waits. {last}\n")
            time.sleep(LOOK_S)


@people.command("add")
def add(
    name: Person,
    may: Annotated[
        str, typer.Option("--may", help="The person's rights: label, pull and release, separated by commas.")
    ] = "label,pull",
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="How many days the token is valid.")] = 180,
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Add a person, and show their token once."""
    roles = [role.strip() for role in may.split(",") if role.strip()]
    token = roster.add(open_store(store), name, roles, days)
    lines = [f"{name} may {', '.join(roles)}", f"token (shown only now): {token}"]
    finish({"name": name, "may": roles, "token": token}, as_json, lines)


@people.command("revoke")
def revoke(name: Person, store: StoreUri = STORE, as_json: Json = False) -> None:
    """End a person's token and sessions. Their answers remain, and are ingested unless you leave them out."""
    roster.revoke(open_store(store), name)
    leave_out = hint(store, "label", "CAMPAIGN", "--collect", "--without", name)
    lines = [f"{name} is off the list; answers that are not ingested yet still count. To leave them out: {leave_out}"]
    finish({"revoked": name}, as_json, lines)


@people.command("list")
def show(store: StoreUri = STORE, as_json: Json = False) -> None:
    """List who may do what, and until when."""
    people_listed = roster.accounts(open_store(store)).values()
    rows = [{"name": person.name, "may": person.may, "expires": person.expires} for person in people_listed]
    lines = [f"{one.name:<24} {', '.join(one.may):<22} until {one.expires[:10]}" for one in people_listed]
    finish({"labelers": rows}, as_json, lines or [f"the list is empty: {hint(store, 'labelers', 'add', 'NAME')}"])
