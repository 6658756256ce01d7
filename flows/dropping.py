"""The command that puts a vendor's file where deliveries arrive, for who has it by mail: it needs no torch."""

import os
from pathlib import Path
from typing import Annotated

import typer

from data.inbox import drop
from data.labels import shelf_of
from data.store import open_store
from flows.environment import prepare
from flows.options import STORE, Json, StoreUri, app, finish, name_of


@app.command()
def deliver(
    campaign: Annotated[
        str, typer.Argument(help="a campaign's name in the store, or its .toml file", metavar="CAMPAIGN")
    ],
    batch: Annotated[str, typer.Argument(help="the batch that was answered", metavar="BATCH")],
    file: Annotated[Path, typer.Argument(help="what the vendor sent", metavar="FILE")],
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Put a vendor's file into the inbox, and tell the Prefect server of PREFECT_API_URL.

    The deployment ingest_labels takes it in from there; without a server, andon ingest does.
    """
    opened = open_store(store)
    name = name_of(campaign, opened)
    key = drop(opened, shelf_of(opened, name, batch), batch, file)
    told = bool(os.environ.get("PREFECT_API_URL"))
    if told:
        prepare(store)
        from prefect.events import emit_event

        resource = {"prefect.resource.id": f"andon.campaign.{name}", "prefect.resource.name": name}
        emit_event("andon.delivery", resource, payload={"batch": batch, "key": key, "store": opened.uri})
    lines = [f"in the inbox: {key}", "told the Prefect server" if told else f"then: andon ingest {campaign} {file}"]
    finish({"key": key, "told": told}, as_json, lines)
