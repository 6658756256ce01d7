"""Commands about the labels of a campaign: whether they count, what they are worth, and files of them for trainers."""

from pathlib import Path
from typing import Annotated

import typer

from data.batches.index import namespace_of
from data.errors import Refused
from data.evaluation.gate import under_champion
from data.exchange.labeled import Labeled
from data.exchange.registry import all_formats, label_writer, label_writers, listing
from data.labels.decisions import batch_statuses, override
from data.labels.label_sets import freeze, labeled_rows
from data.labels.log_entries import Decision
from data.quality.assess_batch import assess_pending
from data.quality.scorecard import scorecards
from data.reports.quality import report_batch, report_vendors
from data.store import open_store
from data.store.user_state import username
from flows.cli.app import app
from flows.cli.campaigns import name_of
from flows.cli.options import STORE, By, InStore, Json, Reason, StoreUri, hint
from flows.cli.output import finish


@app.command()
def decide(
    campaign: InStore,
    batch: Annotated[str, typer.Argument(help="The batch.", metavar="BATCH")],
    decision: Annotated[Decision, typer.Argument(help="Whether its labels count.")],
    reason: Reason,
    labeler: Annotated[
        str | None, typer.Option("--labeler", help="Decide about the answers of this labeler only.")
    ] = None,
    by: By = None,
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Decide whether the labels of a batch, or of one labeler, count.

    Ingesting decides by rules. A person's decision replaces that of the rules until the labels have new findings.
    """
    opened = open_store(store)
    name = name_of(campaign, opened)
    namespace = namespace_of(opened, name, batch)
    override(opened, namespace, batch, decision, reason, labeler, by or username())
    withdrawn = under_champion(opened, name)
    whose = f"labeler {labeler} in batch {batch}" if labeler else f"batch {batch}"
    reader = hint(store, "retrain" if namespace == name else "report", campaign)
    lines = [
        f"{whose}: {decision}, because: {reason}",
        f"used from now on by {reader}" + ("" if namespace == name else ", and by promotion"),
        *(f"the champion learned from labels that do not count now: {label}" for label in withdrawn),
    ]
    result = {
        "batch": batch,
        "labeler": labeler,
        "decision": decision,
        "status": batch_statuses(opened, namespace)[batch].decision,
        "withdrawn": withdrawn,
    }
    finish(result, as_json, lines)


@app.command()
def quality(
    campaign: InStore,
    batch: Annotated[str | None, typer.Argument(help="The batch. The default is the last one answered.")] = None,
    price: Annotated[
        float | None, typer.Option("--price", min=0, help="The price of one answer, instead of the campaign's.")
    ] = None,
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Write the quality reports of a batch and of all vendors.

    The output says where the reports are.
    """
    opened = open_store(store)
    name = name_of(campaign, opened)
    name = namespace_of(opened, name, batch) if batch else name
    of_batch, of_vendors = report_batch(opened, name, batch, price), report_vendors(opened, name, price)
    card = next(card for card in scorecards(opened, name, price) if card.batch == of_batch["batch"])
    result = {
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
    campaign: InStore,
    form: Annotated[str, typer.Argument(help=f"The format: {listing(label_writers())}.", metavar="FORMAT")],
    file: Annotated[Path, typer.Argument(help="The file to write.", metavar="FILE")],
    label_set: Annotated[
        str | None, typer.Option("--label-set", help="The label set. The default is all labels that count now.")
    ] = None,
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Write labels as a file for another trainer.

    The formats do not keep who answered and with which weight. Formats of pairs do not keep that one answer was chosen
    among k.
    """
    opened = open_store(store)
    name = name_of(campaign, opened)
    write = label_writer(form)
    if label_set is None:
        assess_pending(opened, name)
    frozen = label_set or freeze(opened, name)
    if frozen is None:
        ingest = hint(store, "ingest", campaign, "ANSWERS")
        raise Refused(f"Campaign {name} has no labels that count in {opened.uri}. Ingest some: {ingest}")
    rows = labeled_rows(opened, name, frozen)
    write(Labeled(rows), file)
    lost = sorted(all_formats()[form].loses)
    result = {"label_set": frozen, "labels": len(rows), "file": str(file), "lost": lost}
    finish(result, as_json, [f"{len(rows):,} labels: {file}", f"not in the file: {', '.join(lost)}"])
