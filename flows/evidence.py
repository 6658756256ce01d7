"""Commands of the evidence beside `evaluate`: reports, metrics elsewhere, and the accuracy sheet."""

from pathlib import Path
from typing import Annotated

import typer

from data.campaign import load_campaign, shipped_campaigns
from data.campaign_report import report_campaign
from data.promotions import find_run, runs
from data.refused import Refused
from data.run_report import report_run
from data.sheets import Filled, read_sheet
from data.store import folders, open_store
from data.systems import find_systems
from flows.environment import prepare
from flows.options import STORE, Base, By, Json, Name, Preset, StoreUri, app, finish, me


@app.command()
def report(
    wanted: Annotated[str, typer.Argument(help="a finished run, or a campaign: its rounds over time", metavar="RUN")],
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Write the report of a run or of a campaign, with all that is known by now, and print where it is."""
    opened = open_store(store)
    names = list(folders(opened, "campaigns"))
    for name in names:
        if any(run["run"] == wanted for run in runs(opened, name)):
            address = report_run(opened, name, wanted).address("report.html")
            return finish({"report": address}, as_json, [address])
    of_campaign = wanted.endswith(".toml") or wanted in shipped_campaigns()
    name = load_campaign(wanted).name if of_campaign else wanted
    if name not in names:
        there = f"its campaigns: {', '.join(names) or 'none'}"
        raise Refused(f"There is no finished run {wanted} in {store}, and no campaign of that name; {there}.")
    address = report_campaign(opened, name).address("report.html")
    finish({"report": address}, as_json, [address])


@app.command()
def metrics(
    campaign: Name,
    run: Annotated[str | None, typer.Argument(help="a finished run; without it, all of them", metavar="[RUN]")] = None,
    tensorboard: Annotated[
        str | None, typer.Option("--tensorboard", help="folder of events", envvar="ANDON_TENSORBOARD")
    ] = None,
    mlflow: Annotated[
        str | None, typer.Option("--mlflow", help="tracking URI of MLflow", envvar="MLFLOW_TRACKING_URI")
    ] = None,
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Copy the metrics of finished runs to TensorBoard or MLflow.

    Every retrain does so by itself where ANDON_TENSORBOARD or MLFLOW_TRACKING_URI is set.
    """
    opened, name = open_store(store), load_campaign(campaign).name
    if tensorboard is None and mlflow is None:
        raise Refused("Where to? Give --tensorboard FOLDER or --mlflow URI, or set the variables that they stand for.")
    finished = runs(opened, name) if run is None else [find_run(opened, name, run)]
    prepare(store)
    from tasks.tracking import to_mlflow, to_tensorboard

    copied = 0
    for each in finished:
        copied += bool(tensorboard and to_tensorboard(each, name, tensorboard))
        copied += bool(mlflow and to_mlflow(each, name, mlflow))
    finish({"runs": len(finished), "copied": copied}, as_json, [f"{copied} copied; {len(finished)} runs looked at"])


@app.command()
def sheet(
    campaign: Name,
    filled: Annotated[
        Path | None, typer.Argument(help="a sheet that was filled in, to be taken in", metavar="[FILE]")
    ] = None,
    systems: Annotated[
        str, typer.Option("--systems", help="whose summaries, as andon evaluate names them, with commas between")
    ] = "zero-shot,rl",
    items: Annotated[int, typer.Option("--items", min=1, max=1000, help="how many articles for each system")] = 30,
    seed: Annotated[int, typer.Option("--seed", help="of the samples drawn")] = 0,
    by: By = None,
    store: StoreUri = STORE,
    base: Base = None,
    preset: Preset = None,
    as_json: Json = False,
) -> None:
    """Write a blind sheet of summaries to read for accuracy, or take a filled one in.

    Who reads it writes yes or no under `accurate`; ends with how many of each system's were accurate.
    """
    settings, opened = load_campaign(campaign, preset, {"base": base} if base else None), open_store(store)
    if filled is not None:
        found = read_sheet(opened, settings.name, filled, by or me())
        return finish({"filled": [each._asdict() for each in found]}, as_json, _lines(found))
    names = systems.split(",")
    find_systems(opened, settings, names)
    prepare(store)
    from flows.sheet import accuracy_sheet

    address = accuracy_sheet(campaign, store, names, items, seed, base, preset)
    then = f"write yes or no under accurate for every item, then: andon sheet {campaign} FILE"
    finish({"sheet": address}, as_json, [address, then])


def _lines(found: list[Filled]) -> list[str]:
    return [f"{each.system:<40} {each.accurate}  of {each.accurate.n}, read by {each.by}" for each in found]
