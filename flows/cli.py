"""The command line: `andon --help` is the table of contents.

For people first; with --json the last line of standard output is one JSON object and everything else goes to standard
error. Exit codes: 0 done, 1 refused with a reason, 2 usage, 3 the line is stopped. Flows are imported late, because
Prefect reads its settings when it is imported, and `andon status` should not wait for torch.
"""

import io
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from data.campaign import load_campaign
from data.cord import Stopped, check
from data.exchange import check_format
from data.receiving import check_name
from data.refused import Refused
from data.rework import publish_rework
from data.rounds import rounds
from data.shelves import comparisons_of
from data.store import open_store
from data.systems import find_systems
from flows.by_hand import ingest_by_hand
from flows.environment import prepare
from flows.options import INTERRUPTED, STORE, Base, Json, Launch, Name, Preset, Seed, StoreUri, app, finish, refuse
from flows.summary import Result, demo_table, ingested_lines, run_lines, run_result


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
        list[str] | None, typer.Option("--format", help="also csv, jsonl, label-studio or argilla; may be repeated")
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
        check_format(each)
    if vendor is not None:
        from data.links import in_s3

        in_s3(opened)  # refused before anything is sampled
    if compare is not None:
        if rework is not None:
            raise Refused("--compare asks about systems, --rework asks a batch again: one at a time.")
        if questions == 1:
            raise Refused("One question tells nothing of two systems: ask two or more (--questions).")
        find_systems(opened, settings, compare)
    prepare(store)
    from flows.compare import compare as ask_people
    from flows.export_batch import export_batch
    from flows.handover import handed_over, handover_lines

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
        typer.Argument(
            help="answers as Parquet, CSV, JSON or JSONL, or as Label Studio and Argilla export them", metavar="FILE"
        ),
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
    from flows.handover import handed_over, handover_lines

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


from flows import doctor, dropping, evidence, inspection, labeling, line  # noqa: E402, F401  (their commands come last in --help)


def main() -> None:
    """Run the command line; a refusal is one line and exit code 1, a stopped line one and exit code 3."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows no line to draw a tree with
    try:
        app()
    except Refused as refusal:
        refuse(str(refusal), 3 if isinstance(refusal, Stopped) else 1)
    except OSError as error:
        if error.filename is None or error.strerror is None:
            raise
        refuse(f"{error.filename}: {error.strerror}.", 1)
    except Exception as error:
        if not _ended_by_the_cord(error):
            raise
        refuse(str(error), 3)
    except SystemExit as ended:
        if ended.code == 130:  # what typer makes of a Ctrl-C
            sys.stderr.write(INTERRUPTED)
        raise


def _ended_by_the_cord(error: Exception) -> bool:
    """Tell whether a flow ended as flows/stopping.py lets it end, which reaches its caller as Prefect's exception."""
    from prefect.exceptions import CancelledRun

    return isinstance(error, CancelledRun)


if __name__ == "__main__":
    main()
