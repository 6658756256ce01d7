"""Commands that add answers to the labels: `andon ingest`, `andon deliver` and `andon import`."""

import os
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from data.batches.index import namespace_of
from data.campaign import load_campaign
from data.escape import one_line
from data.exchange.registry import answer_formats, listing
from data.ingest.inbox import put_in_inbox
from data.ingest.pipeline import IngestResult
from data.ingest.receive import check_name
from data.store import open_store
from flows.cli.app import app
from flows.cli.campaigns import name_of
from flows.cli.environment import prepare
from flows.cli.options import STORE, Base, InStore, Json, Name, Preset, StoreUri, hint
from flows.cli.output import finish
from flows.settings import configured


@app.command()
def ingest(
    campaign: Name,
    file: Annotated[
        Path,
        typer.Argument(help=f"A file of answers, in the format {listing(answer_formats())}.", metavar="FILE"),
    ],
    store: StoreUri = STORE,
    despite: Annotated[
        str | None,
        typer.Option("--despite", help="The reason to accept answers that look wrong. The reason is recorded."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Validate an answer file, and add its answers to the labels.

    Ingesting the same file again, or the same answers in another file, adds nothing.
    """
    load_campaign(campaign)
    check_name(file)
    result = ingest_from_terminal(campaign, store, file.absolute(), despite)
    finish(result._asdict(), as_json, ingested_lines(result, campaign, store))


@app.command("import")
def import_file(
    campaign: Name,
    file: Annotated[Path, typer.Argument(help="offline_5k.json, or a file of the same format.", metavar="FILE")],
    store: StoreUri = STORE,
    base: Base = None,
    preset: Preset = None,
    as_json: Json = False,
) -> None:
    """Import a label file published with the paper of 2019.

    Such a file holds token ids of GPT-2, so the base must have the vocabulary of GPT-2.
    """
    load_campaign(campaign, preset)
    prepare(store)
    from flows.ingest_labels import import_labels

    result = import_labels(campaign, store, file.absolute(), base, preset)
    lines = [
        f"batch {result.batch}: {result.accepted:,} accepted, {result.duplicates:,} duplicates",
        f"label set {result.label_set}",
    ]
    finish(result._asdict(), as_json, lines)


@app.command()
def deliver(
    campaign: InStore,
    batch: Annotated[str, typer.Argument(help="The batch that was answered.", metavar="BATCH")],
    file: Annotated[Path, typer.Argument(help="The vendor's answer file.", metavar="FILE")],
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Put an answer file into the inbox, and notify the Prefect server.

    The deployment ingest_labels of the server at PREFECT_API_URL ingests the file. Without a server, run andon ingest.
    """
    opened = open_store(store)
    name = name_of(campaign, opened)
    key = put_in_inbox(opened, namespace_of(opened, name, batch), batch, file)
    notified = bool(os.environ.get("PREFECT_API_URL"))
    if notified:
        prepare(store)
        from prefect.events import emit_event

        resource = {"prefect.resource.id": f"andon.campaign.{name}", "prefect.resource.name": name}
        emit_event("andon.delivery", resource, payload={"batch": batch, "key": key, "store": opened.uri})
    then = "notified the Prefect server" if notified else f"then: {hint(store, 'ingest', campaign, file)}"
    finish({"key": key, "notified": notified}, as_json, [f"in the inbox: {key}", then])


def ingest_from_terminal(campaign: str, store: str, file: Path, despite: str | None = None) -> IngestResult:
    """Ingest an answer file: as a flow run if there is a server to show it, and else directly in this process."""
    prepare(store)
    if not os.environ.get("PREFECT_API_URL"):
        from tasks.ingest import ingest_delivery

        return ingest_delivery(open_store(store), configured(campaign), file, despite)[0]
    from flows.ingest_labels import ingest_labels

    return ingest_labels(campaign, store, file, despite)


def ingested_lines(result: IngestResult, campaign: str, store: str = STORE) -> list[str]:
    """Describe what a delivery added, the findings about it, and what a person should do next."""
    lines = [
        f"batch {result.batch}: {result.accepted:,} accepted, {result.quarantined:,} quarantined, "
        f"{result.duplicates:,} duplicates"
    ]
    lines += [f"  quarantined {count:,}: {reason} ..." for reason, count in Counter(result.reasons).most_common(10)]
    if result.ignored:
        lines.append(f"  ignored columns: {', '.join(one_line(name) or '(no name)' for name in result.ignored)}")
    lines += [f"  {finding['fault']}: {finding['evidence']}" for finding in result.findings]
    decide = ("decide", campaign, result.batch)
    if result.held:
        names = ", ".join(map(one_line, result.held[:10])) + (" ..." if len(result.held) > 10 else "")
        lines.append(f"  labelers on hold: {names}: their answers do not count. To count them:")
        lines.append(f"    {hint(store, *decide, 'accept', '--labeler', one_line(result.held[0]), '--reason', '...')}")
    if result.decision != "accept":
        lines.append(f"on {result.decision}: these answers do not count until a person decides:")
        lines.append(f"  {hint(store, *decide, 'accept', '--reason', '...')}   (or reject)")
    lines += [f"quality report: {result.report}"] if result.report else []
    if result.compares:
        return [*lines, f"nothing is trained on answers of a comparison; see {hint(store, 'report', campaign)}"]
    return [*lines, f"label set {result.label_set}" if result.label_set else "no labels count yet"]
