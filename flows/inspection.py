"""Commands that read a store or decide about it: none waits for torch, but `plan --measure`, which trains."""

from pathlib import Path
from typing import Annotated

import typer

from data import charts, lineage
from data.assessing import assess_pending
from data.campaign import Campaign, load_campaign
from data.cord import open_pulls
from data.decisions import Decision, history, override, standings
from data.exchange import LABEL_FORMATS
from data.exchange.labeled import Labeled
from data.label_sets import freeze, labeled
from data.labels import shelf_of
from data.local_state import me
from data.planning import curve_of_runs, measured_curve, plan
from data.promotion_gate import evaluation_of, promote_by_hand, under_champion
from data.promotions import find_run, rollback
from data.quality_report import report_batch, report_vendors
from data.refused import Refused
from data.scorecard import scorecards
from data.store import open_store
from flows.environment import prepare
from flows.options import STORE, Base, By, Json, Name, Preset, Reason, Seed, StoreUri, app, finish, name_of
from flows.summary import Result, plan_lines, status_lines, status_result


@app.command()
def status(store: StoreUri = STORE, as_json: Json = False) -> None:
    """Show all rounds and what each waits for."""
    result = status_result(store)
    finish(result, as_json, status_lines(result))


@app.command("promote")
def promote_run(
    campaign: Name,
    run: Annotated[str, typer.Argument(help="a finished run", metavar="RUN")],
    reason: Annotated[
        str | None, typer.Option("--reason", help="why, also where the gate does not hold; it is recorded")
    ] = None,
    by: By = None,
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Make a run's policy champion: by the gate, or with --reason whatever the gate says.

    The log and the reports say despite what.
    """
    opened, settings = open_store(store), load_campaign(campaign)
    trained_with = find_run(opened, settings.name, run).manifest["facts"].get("campaign")  # not before runs said so
    settings = Campaign.model_validate(trained_with) if trained_with else settings
    evaluation = evaluation_of(opened, settings.name, run)
    entry = promote_by_hand(opened, settings, run, reason, by or me(), evaluation)
    against = entry["against"] if entry else []
    lines = [
        f"champion of {campaign}: {run}" + ("" if entry else ", as before: nothing was recorded"),
        *(f"  despite: {each}" for each in against),
    ]
    finish({"champion": run, "changed": entry is not None, "against": against}, as_json, lines)


@app.command("rollback")
def roll_back(campaign: Name, reason: Reason, by: By = None, store: StoreUri = STORE, as_json: Json = False) -> None:
    """Make the champion before this one champion again."""
    opened = open_store(store)
    name = name_of(campaign, opened)
    entry = rollback(opened, name, reason, by or me())
    stopped = [each.pull for each in open_pulls(opened, name, entry["run"])] if entry["run"] else []
    lines = [f"champion of {campaign}: {entry['run'] or 'the base'}"]
    lines += [f"  nothing is sampled from it before {each} is released" for each in stopped]
    finish({"champion": entry["run"], "stopped_by": stopped}, as_json, lines)


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
    name = shelf_of(opened, of, batch)
    override(opened, name, batch, decision, reason, labeler, by or me())
    standing = standings(opened, name)[batch]
    whom = f"labeler {labeler} in batch {batch}" if labeler else f"batch {batch}"
    result: Result = {"batch": batch, "labeler": labeler, "decision": decision, "standing": standing.decision}
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
    name = shelf_of(opened, name, batch) if batch else name
    of_batch, of_vendors = report_batch(opened, name, batch, price), report_vendors(opened, name, price)
    card = next(card for card in scorecards(opened, name, price) if card.batch == of_batch["batch"])
    result: Result = {
        "batch": card.batch,
        "decision": card.standing.decision if card.standing else None,
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
def explain(
    wanted: Annotated[
        str, typer.Argument(help="a run, label set, batch, file, label, or champion; its beginning does", metavar="ID")
    ],
    store: StoreUri = STORE,
    picture: Annotated[Path | None, typer.Option("--picture", help="also draw it, as an SVG file")] = None,
    as_json: Json = False,
) -> None:
    """Show what something was made from, down to the vendor's files, and what was made from it."""
    campaign, graph, node = lineage.find(open_store(store), wanted)
    before, after = lineage.ancestors(graph, node), lineage.descendants(graph, node)
    if picture is not None:
        picture.write_text(charts.lineage([*before, *after], node.id), "utf-8")
    lines = [f"campaign {campaign}", *lineage.tree(graph, node)]
    lines += ["became part of:", *(f"  {each.kind} {each.id}  {each.text}" for each in after)] if after else []
    result: Result = {"campaign": campaign, "id": node.id, "kind": node.kind}
    finish(
        result | {"made_from": [n._asdict() for n in before], "became": [n._asdict() for n in after]}, as_json, lines
    )


@app.command()
def dataset(
    campaign: Name,
    form: Annotated[str, typer.Argument(help="trl, trl-implicit, hh-rlhf or openai2019", metavar="FORMAT")],
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
    if form not in LABEL_FORMATS:
        raise Refused(f"There is no format {form} for labels; there are: {', '.join(LABEL_FORMATS)}.")
    if label_set is None:
        assess_pending(opened, name)
    frozen = label_set or freeze(opened, name)
    if frozen is None:
        raise Refused(f"Campaign {name} has no labels that count in {opened.uri}: ingest some, or andon decide.")
    rows = labeled(opened, name, frozen)
    LABEL_FORMATS[form].write(Labeled(rows), file)
    lost = sorted(LABEL_FORMATS[form].loses)
    result: Result = {"label_set": frozen, "labels": len(rows), "file": str(file), "lost": lost}
    finish(result, as_json, [f"{len(rows):,} labels: {file}", f"not in it: {', '.join(lost)}"])


@app.command("plan")
def plan_batch(
    campaign: Name,
    labels: Annotated[
        int | None,
        typer.Option("--labels", min=1, help="how many to train on; else as many as a batch has questions"),
    ] = None,
    price: Annotated[float, typer.Option("--price", min=0, help="of one answer")] = 0.0,
    overlap: Annotated[
        float | None, typer.Option("--overlap", min=0, max=1, help="share of questions sent more than once")
    ] = None,
    gold: Annotated[
        float | None, typer.Option("--gold", min=0, max=0.5, help="known questions, for each asked")
    ] = None,
    labelers: Annotated[int, typer.Option("--labelers", min=1, help="how many people answer")] = 20,
    measure: Annotated[
        bool, typer.Option("--measure", help="train reward models on parts of the labels so far, once, for their curve")
    ] = False,
    seed: Seed = 1,
    base: Base = None,
    preset: Preset = None,
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Foresee what a batch would tell and cost, before paying for it.

    Whether it would make a better reward model is read off the curve of the labels so far, or of the runs.
    """
    shares = {"overlap_share": overlap, "gold_share": gold}
    settings = load_campaign(campaign, preset, {"batch": {k: v for k, v in shares.items() if v is not None}})
    opened = open_store(store)
    counts = {batch for batch, standing in standings(opened, settings.name).items() if standing.counts}
    agreed = [
        entry["measures"]["agreement"]
        for entry in history(opened, settings.name)
        if entry["kind"] == "assessment" and entry["batch"] in counts
    ]
    measured = next((found["value"] for found in reversed(agreed) if found), None)
    if measure:
        prepare(store)
        from flows.measure_curve import measure_curve

        measure_curve(campaign, store, seed, base, preset)
    curve = measured_curve(opened, settings.name) or curve_of_runs(opened, settings.name)
    found = plan(settings, labels or settings.batch.questions, price, labelers, measured, curve)
    finish(found._asdict(), as_json, plan_lines(found))
