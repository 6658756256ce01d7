"""Commands that run rounds and their steps."""

import time
from pathlib import Path
from typing import Annotated

import typer

from data.campaign import load_campaign
from data.cord.cord import check
from data.errors import Refused
from data.evaluation.systems import find_systems
from data.exchange.registry import answer_formats, listing, question_writer, question_writers
from data.ingest.receive import check_name
from data.labels.decisions import batch_statuses, decision_log
from data.paths import comparisons_of
from data.rounds.plan import curve_of_runs, measured_curve, plan
from data.rounds.rework import publish_rework
from data.rounds.status import rounds
from data.store import open_store
from flows.cli.environment import prepare
from flows.cli.ingest import ingest_by_hand
from flows.cli.options import STORE, Base, Json, Launch, Name, Preset, Seed, StoreUri, app, finish
from flows.cli.output import Result, demo_table, ingested_lines, plan_lines, run_lines, run_result


@app.command()
def demo(store: StoreUri = "andon-demo", seed: Seed = 1, as_json: Json = False) -> None:
    """Run two rounds with simulated labelers.

    On the embedded base; ends with what the rounds bought.
    """
    began = time.monotonic()
    prepare(store)
    from flows.batch_round import batch_round

    for number in (1, 2):
        run = batch_round("sentiment", store, seed=seed, preset="demo", round_number=number)
    assert run is not None
    result = run_result(store, "sentiment", run) | {"rounds": 2, "seconds": round(time.monotonic() - began, 1)}
    finish(result, as_json, demo_table(store, "sentiment", result))


@app.command()
def export(
    campaign: Name,
    questions: Annotated[int | None, typer.Option("--questions", min=1, help="how many questions to ask")] = None,
    store: StoreUri = STORE,
    seed: Annotated[int, typer.Option("--seed", min=0, help="of the queries and samples drawn")] = 0,
    base: Base = None,
    preset: Preset = None,
    formats: Annotated[
        list[str] | None, typer.Option("--format", help=f"write also {listing(question_writers())}; may be repeated")
    ] = None,
    vendor: Annotated[
        str | None, typer.Option("--vendor", help="print links for this vendor, with deadlines; the store is in S3")
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--compare",
            metavar="A B",
            help="ask people which of two systems is better, as andon evaluate names them; nothing is trained on that",
        ),
    ] = None,
    rework: Annotated[
        str | None, typer.Option("--rework", metavar="BATCH", help="ask again what was answered and held or rejected")
    ] = None,
    as_json: Json = False,
) -> None:
    """Sample questions and write the files for labelers."""
    settings = load_campaign(campaign, preset, {"base": base} if base else None)
    name, opened = settings.name, open_store(store)
    for each in formats or []:
        question_writer(each)
    if vendor is not None:
        from data.store.presigned import in_s3

        in_s3(opened)  # refused before anything is sampled
    if compare is not None:
        if rework is not None:
            raise Refused("--compare asks about systems, --rework asks a batch again: one at a time.")
        if questions == 1:
            raise Refused("One question tells nothing of two systems: ask two or more (--questions).")
        find_systems(opened, settings, compare)
    prepare(store)
    from flows.cli.handoff import handed_over, handover_lines
    from flows.compare import compare as ask_people
    from flows.export_batch import export_batch

    if rework is not None:
        check(opened, name)
        batch = publish_rework(opened, settings, rework)
    elif compare is None:
        batch = export_batch(campaign, store, questions, seed, base, preset)
    else:
        batch = ask_people(campaign, store, *compare, questions, seed, base, preset)
    result = handed_over(store, name if compare is None else comparisons_of(name), batch, formats or [], vendor)
    finish(result, as_json, handover_lines(result, campaign))


@app.command()
def ingest(
    campaign: Name,
    file: Annotated[
        Path,
        typer.Argument(help=f"a file of answers, in the format {listing(answer_formats())}", metavar="FILE"),
    ],
    store: StoreUri = STORE,
    despite: Annotated[
        str | None, typer.Option("--despite", help="take answers that look wrong all the same; the reason is recorded")
    ] = None,
    as_json: Json = False,
) -> None:
    """Take a delivered answer file in, and say what its answers are worth.

    The same file, or the same answers in another, add nothing.
    """
    load_campaign(campaign)
    check_name(file)
    outcome = ingest_by_hand(campaign, store, file.absolute(), despite)
    finish(outcome._asdict(), as_json, ingested_lines(outcome, campaign))


@app.command("import")
def import_file(
    campaign: Name,
    file: Annotated[Path, typer.Argument(help="offline_5k.json or its like", metavar="FILE")],
    store: StoreUri = STORE,
    base: Base = None,
    preset: Preset = None,
    as_json: Json = False,
) -> None:
    """Take in a label file published with the paper of 2019.

    Token ids of GPT-2, best of k; the base must have its vocabulary.
    """
    load_campaign(campaign, preset)
    prepare(store)
    from flows.ingest_labels import import_labels

    outcome = import_labels(campaign, store, file.absolute(), base, preset)
    lines = [
        f"batch {outcome.batch}: {outcome.accepted:,} accepted, {outcome.duplicates:,} known already",
        f"label set {outcome.label_set}",
    ]
    finish(outcome._asdict(), as_json, lines)


@app.command()
def retrain(
    campaign: Name,
    store: StoreUri = STORE,
    seed: Seed = 1,
    base: Base = None,
    preset: Preset = None,
    launch: Launch = None,
    as_json: Json = False,
) -> None:
    """Train from the base on all labels.

    Reward model and policy; then evaluate, report, and promote if the gate holds.
    """
    load_campaign(campaign, preset)
    prepare(store)
    from flows.retrain import retrain as flow

    run = flow(campaign, store, seed, base, preset, launch=launch)
    result = run_result(store, load_campaign(campaign).name, run)
    finish(result, as_json, run_lines(result))


@app.command("round")
def one_round(
    campaign: Name,
    labels: Annotated[
        int | None,
        typer.Option("--labels", min=1, help="about how many labels to train on, copies included"),
    ] = None,
    store: StoreUri = STORE,
    seed: Seed = 1,
    base: Base = None,
    preset: Preset = None,
    as_json: Json = False,
) -> None:
    """Go through the round that is due.

    With simulated labelers to its end; with people until their labels are due.
    """
    began = time.monotonic()
    name = load_campaign(campaign, preset).name
    prepare(store)
    from flows.batch_round import batch_round
    from flows.cli.handoff import handed_over, handover_lines

    settings = load_campaign(campaign, preset).batch
    run = batch_round(campaign, store, settings.questions_for(labels) if labels else None, seed, base, preset)
    if run is None:
        waiting = next(r for r in rounds(open_store(store), name) if r.run is None)
        result: Result = {"round": waiting.number, "batches": waiting.batches, "waits_for": waiting.waits_for}
        lines = [f"round {waiting.number}: batch {waiting.batches[-1]} waits for {waiting.waits_for}"]
        if waiting.waits_for == "labels":
            result |= handed_over(store, name, waiting.batches[-1], [], None)
            lines += handover_lines(result, campaign)[1:]
        return finish(result, as_json, lines)
    result = run_result(store, name, run) | {"seconds": round(time.monotonic() - began, 1)}
    finish(result, as_json, run_lines(result))


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
    counts = {batch for batch, status in batch_statuses(opened, settings.name).items() if status.counts}
    agreed = [
        entry["measures"]["agreement"]
        for entry in decision_log(opened, settings.name)
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
