"""Commands about labels: deliveries, decisions, quality, datasets."""

import os
from pathlib import Path
from typing import Annotated

import typer

from data.batches.index import namespace_of
from data.errors import Refused
from data.evaluation.gate import under_champion
from data.exchange.labeled import Labeled
from data.exchange.registry import all_formats, label_writer, label_writers, listing
from data.ingest.inbox import put_in_inbox
from data.labels.decisions import Decision, batch_statuses, override
from data.labels.label_sets import freeze, labeled_rows
from data.quality.assess_batch import assess_pending
from data.quality.scorecard import scorecards
from data.reports.quality import report_batch, report_vendors
from data.store import open_store
from data.store.user_state import username
from flows.cli.environment import prepare
from flows.cli.options import STORE, By, Json, Name, Reason, StoreUri, app, finish, name_of
from flows.cli.output import Result


@app.command()
def decide(
    campaign: Name,
    batch: Annotated[str, typer.Argument(help="the batch", metavar="BATCH")],
    decision: Annotated[Decision, typer.Argument(help="whether its labels count")],
    reason: Reason,
    labeler: Annotated[str | None, typer.Option("--labeler", help="decide about this labeler's answers only")] = None,
    by: By = None,
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Decide whether the labels of a batch, or of one labeler in it, count.

    Ingesting decides by rule; a person's decision stands beside it, until other faults are found.
    """
    opened = open_store(store)
    of = name_of(campaign, opened)
    name = namespace_of(opened, of, batch)
    override(opened, name, batch, decision, reason, labeler, by or username())
    status = batch_statuses(opened, name)[batch]
    whom = f"labeler {labeler} in batch {batch}" if labeler else f"batch {batch}"
    result: Result = {"batch": batch, "labeler": labeler, "decision": decision, "status": status.decision}
    reads = f"andon retrain {campaign}" if name == of else f"andon report {campaign}, and promotion,"
    result["withdrawn"] = under_champion(opened, of)
    told = [f"{whom}: {decision}, because: {reason}", f"{reads} uses what counts now"]
    told += [f"the champion learned from labels that do not count now: {each}" for each in result["withdrawn"]]
    finish(result, as_json, told)


@app.command()
def quality(
    campaign: Name,
    batch: Annotated[str | None, typer.Argument(help="the batch; without it, the last one answered")] = None,
    price: Annotated[float | None, typer.Option("--price", min=0, help="of one answer, if not the campaign's")] = None,
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Write the quality report of a batch and that of all vendors over time, and print where they are."""
    opened = open_store(store)
    name = name_of(campaign, opened)
    name = namespace_of(opened, name, batch) if batch else name
    of_batch, of_vendors = report_batch(opened, name, batch, price), report_vendors(opened, name, price)
    card = next(card for card in scorecards(opened, name, price) if card.batch == of_batch["batch"])
    result: Result = {
        "batch": card.batch,
        "decision": card.status.decision if card.status else None,
        "answers": card.answers,
        "counted": card.counted,
        "cost_a_label": card.cost_a_label,
        "hours": card.hours,
        "report": str(of_batch.path("report.html")),
        "labels": str(of_batch.path("labels.parquet")),
        "vendors": str(of_vendors.path("report.html")),
    }
    finish(result, as_json, [f"{name:<14} {value}" for name, value in result.items() if value is not None])


@app.command()
def dataset(
    campaign: Name,
    form: Annotated[str, typer.Argument(help=listing(label_writers()), metavar="FORMAT")],
    file: Annotated[Path, typer.Argument(help="where to write it", metavar="FILE")],
    label_set: Annotated[str | None, typer.Option("--label-set", help="which; without it, all that counts now")] = None,
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Write labels as a file that other trainers read.

    All such formats lose who answered and with which weight; pairs lose that one answer was given among k.
    """
    opened = open_store(store)
    name = name_of(campaign, opened)
    write = label_writer(form)
    if label_set is None:
        assess_pending(opened, name)
    frozen = label_set or freeze(opened, name)
    if frozen is None:
        raise Refused(f"Campaign {name} has no labels that count in {opened.uri}: ingest some, or andon decide.")
    rows = labeled_rows(opened, name, frozen)
    write(Labeled(rows), file)
    lost = sorted(all_formats()[form].loses)
    result: Result = {"label_set": frozen, "labels": len(rows), "file": str(file), "lost": lost}
    finish(result, as_json, [f"{len(rows):,} labels: {file}", f"not in it: {', '.join(lost)}"])


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
    key = put_in_inbox(opened, namespace_of(opened, name, batch), batch, file)
    told = bool(os.environ.get("PREFECT_API_URL"))
    if told:
        prepare(store)
        from prefect.events import emit_event

        resource = {"prefect.resource.id": f"andon.campaign.{name}", "prefect.resource.name": name}
        emit_event("andon.delivery", resource, payload={"batch": batch, "key": key, "store": opened.uri})
    lines = [f"in the inbox: {key}", "told the Prefect server" if told else f"then: andon ingest {campaign} {file}"]
    finish({"key": key, "told": told}, as_json, lines)
