"""Commands that examine systems: `andon evaluate`, `andon sheet` and `andon rebuild`."""

from pathlib import Path
from typing import Annotated

import typer

from data.campaign import load_campaign
from data.errors import Refused
from data.evaluation.accuracy_sheet import Reading, read_sheet
from data.evaluation.systems import all_systems, find_systems
from data.reports.evaluation import table
from data.runs.registry import find_run
from data.store import open_store
from data.store.manifest import Publication, read_manifest
from data.store.user_state import username
from flows.cli.app import app
from flows.cli.environment import prepare
from flows.cli.options import STORE, Base, By, Json, Name, Preset, StoreUri, hint
from flows.cli.output import finish


@app.command()
def evaluate(
    campaign: Name,
    run: Annotated[
        str | None,
        typer.Argument(
            help="A finished run, to evaluate its policy again with the run's own settings.", metavar="[RUN]"
        ),
    ] = None,
    systems: Annotated[
        str | None,
        typer.Option(
            "--systems",
            help="The systems, separated by commas: reference, lead-3, zero-shot, supervised, rl, supervised-rl, "
            "best-of-n, champion, or run ids. The default is all that are available.",
        ),
    ] = None,
    queries: Annotated[int | None, typer.Option("--queries", min=2, help="How many test queries.")] = None,
    store: StoreUri = STORE,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The seed of the samples.")] = 2,
    base: Base = None,
    preset: Preset = None,
    as_json: Json = False,
) -> None:
    """Compare systems on held-out queries, or evaluate a finished run again.

    The result says which system is preferred to which, and describes their texts. A finished run is evaluated with new
    samples, and compared with the present champion.
    """
    if run is not None and systems is not None:
        raise Refused("Give a run or --systems, not both. A run id may be one of the systems.")
    if run is not None and preset:
        raise Refused(f"{run} is evaluated with the settings that it was trained with. Leave out --preset.")
    settings = load_campaign(campaign, preset, {"base": base} if base else None)
    opened = open_store(store)
    names = systems.split(",") if systems else None
    if run is not None:
        find_run(opened, settings.name, run)
    else:
        find_systems(opened, settings, names or all_systems(opened, settings))
    prepare(store)
    from flows.evaluate import evaluate as flow

    published = read_manifest(open_store(store), flow(campaign, store, run, seed, queries, base, preset, names))
    assert published is not None
    report = published.address("report.html") if "report.html" in published.names() else None
    result = published.manifest["facts"] | {"published": published.folder_address()}
    result |= ({"run": run} if run else {}) | ({"report": report} if report else {})
    finish(result, as_json, evaluation_lines(published, report))


@app.command()
def rebuild(
    run: Annotated[str, typer.Argument(help="A finished run.", metavar="RUN")],
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Train a finished run again from its manifest, and compare the weights.

    The store does not change. On a CPU the weights must be equal bit by bit, and the exit code is 1 if they differ.
    """
    prepare(store)
    from flows.rebuild import rebuild as flow

    result = flow(run, store)
    around = "; ".join(result["circumstances"])
    if result["different"]:
        cause = f"The circumstances differ: {around}." if around else "The recorded circumstances are the same."
        raise Refused(f"{run} did not come out the same: {', '.join(result['different'])} differ. {cause}")
    lines = [f"{run} came out the same: all {result['weights']} files of weights are equal bit by bit"]
    finish(result, as_json, [*lines, *([f"although the circumstances differ: {around}"] if around else [])])


@app.command()
def sheet(
    campaign: Name,
    completed: Annotated[Path | None, typer.Argument(help="A completed sheet to import.", metavar="[FILE]")] = None,
    systems: Annotated[
        str, typer.Option("--systems", help="Whose summaries, with the names of `andon evaluate` separated by commas.")
    ] = "zero-shot,rl",
    items: Annotated[int, typer.Option("--items", min=1, max=1000, help="How many articles for each system.")] = 30,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The seed of the samples.")] = 0,
    by: By = None,
    store: StoreUri = STORE,
    base: Base = None,
    preset: Preset = None,
    as_json: Json = False,
) -> None:
    """Write a blind sheet to check summaries for accuracy, or import a completed one.

    The reader writes yes or no into the column `accurate`. The import says how many summaries of each system are
    accurate.
    """
    settings, opened = load_campaign(campaign, preset, {"base": base} if base else None), open_store(store)
    if completed is not None:
        readings = read_sheet(opened, settings.name, completed, by or username())
        filled = [reading._asdict() | {"accurate": reading.accurate._asdict()} for reading in readings]
        return finish({"filled": filled}, as_json, _sheet_lines(readings))
    names = systems.split(",")
    find_systems(opened, settings, names)
    prepare(store)
    from flows.accuracy_sheet import accuracy_sheet

    address = accuracy_sheet(campaign, store, names, items, seed, base, preset)
    then = f"write yes or no into the column accurate for every item, then: {hint(store, 'sheet', campaign, 'FILE')}"
    finish({"sheet": address}, as_json, [address, then])


def evaluation_lines(evaluation: Publication, report: str | None) -> list[str]:
    """Show an evaluation as a table with one system per line."""
    rows = table(evaluation.manifest["facts"])
    widths = {title: max(len(title), *(len(row[title]) for row in rows)) for title in rows[0]}
    lines = ["  ".join(title.ljust(width) for title, width in widths.items()).rstrip()]
    lines += ["  ".join(row[title].ljust(width) for title, width in widths.items()).rstrip() for row in rows]
    place = f"report  {report}" if report else f"in  {evaluation.folder_address()}"
    return [f"{evaluation['pairs']:,} queries", *lines, place]


def _sheet_lines(readings: list[Reading]) -> list[str]:
    return [f"{one.system:<40} {one.accurate}  of {one.accurate.n}, read by {one.by}" for one in readings]
