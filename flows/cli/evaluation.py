"""Commands of the evidence: systems side by side, a run trained again, reports, metrics elsewhere, accuracy sheets."""

from pathlib import Path
from typing import Annotated

import typer

from data.campaign import Campaign, load_campaign
from data.campaign.campaign import shipped_campaigns
from data.cord.cord import open_pulls
from data.errors import Refused
from data.evaluation.accuracy_sheet import Reading, read_sheet
from data.evaluation.gate import evaluation_of, promote_by_hand
from data.evaluation.systems import all_systems, find_systems
from data.paths import CAMPAIGNS
from data.reports.campaign import report_campaign
from data.reports.run import report_run
from data.runs.champion import rollback
from data.runs.registry import find_run, runs
from data.store import folders, open_store
from data.store.manifest import read_manifest
from data.store.user_state import username
from flows.cli.environment import prepare
from flows.cli.options import STORE, Base, By, Json, Name, Preset, Reason, StoreUri, app, finish, name_of
from flows.cli.output import Result, evaluation_lines


@app.command()
def evaluate(
    campaign: Name,
    run: Annotated[
        str | None,
        typer.Argument(
            help="a finished run, to measure its policy again by its own settings; or --systems", metavar="[RUN]"
        ),
    ] = None,
    systems: Annotated[
        str | None,
        typer.Option(
            "--systems",
            help="which, with commas between: reference, lead-3, zero-shot, supervised, rl, supervised-rl, best-of-n, "
            "champion, run ids; without it, all that there are",
        ),
    ] = None,
    queries: Annotated[int | None, typer.Option("--queries", min=2, help="how many test queries")] = None,
    store: StoreUri = STORE,
    seed: Annotated[int, typer.Option("--seed", min=0, help="of the samples drawn")] = 2,
    base: Base = None,
    preset: Preset = None,
    as_json: Json = False,
) -> None:
    """Set systems side by side on held-out queries.

    Who is preferred to whom, and what their texts are like; or a finished run again, with other samples or beside the
    champion of now.
    """
    if run is not None and systems is not None:
        raise Refused("Name a run or --systems, not both; a run id may be one of the systems.")
    if run is not None and preset:
        raise Refused(f"{run} is measured by the settings that it was trained with: leave --preset out.")
    settings = load_campaign(campaign, preset, {"base": base} if base else None)
    if run is not None:
        find_run(open_store(store), settings.name, run)
    names = systems.split(",") if systems else None
    if run is None:
        find_systems(open_store(store), settings, names or all_systems(open_store(store), settings))
    prepare(store)
    from flows.evaluate import evaluate as flow

    published = read_manifest(open_store(store), flow(campaign, store, run, seed, queries, base, preset, names))
    assert published is not None
    facts: Result = (
        published.manifest["facts"] | {"published": published.folder_address()} | ({"run": run} if run else {})
    )
    if "report.html" in published.names():
        facts["report"] = published.address("report.html")
    finish(facts, as_json, evaluation_lines(facts))


@app.command()
def rebuild(
    run: Annotated[str, typer.Argument(help="a finished run", metavar="RUN")],
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Train a finished run again from its manifest, beside the store, and compare the weights.

    On a CPU they are the same, bit by bit; exit code 1 where they are not.
    """
    prepare(store)
    from flows.rebuild import rebuild as flow

    result = flow(run, store)
    around = "; ".join(result["circumstances"])
    if result["different"]:
        raise Refused(
            f"{run} did not come out the same: {', '.join(result['different'])} differ. "
            + (f"What differs around it: {around}." if around else "Nothing that is recorded around it differs.")
        )
    lines = [f"{run} came out the same: all {result['weights']} files of weights, bit by bit"]
    finish(result, as_json, [*lines, *([f"although: {around}"] if around else [])])


@app.command()
def report(
    wanted: Annotated[str, typer.Argument(help="a finished run, or a campaign: its rounds over time", metavar="RUN")],
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Write the report of a run or of a campaign, with all that is known by now, and print where it is."""
    opened = open_store(store)
    names = list(folders(opened, CAMPAIGNS))
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
    opened = open_store(store)
    name = name_of(campaign, opened)
    if tensorboard is None and mlflow is None:
        raise Refused("Where to? Give --tensorboard FOLDER or --mlflow URI, or set the variables that they stand for.")
    finished = runs(opened, name) if run is None else [find_run(opened, name, run)]
    prepare(store)
    from tasks.tracking import copy_run

    copied, failed = 0, []
    for variable, where in (("ANDON_TENSORBOARD", tensorboard), ("MLFLOW_TRACKING_URI", mlflow)):
        for each in finished if where else ():
            try:
                copied += copy_run(store, name, each["run"], variable, str(where))
            except Refused as refusal:
                failed.append(f"{each['run']}: {refusal}")
    if failed:
        raise Refused(f"{copied} copied, but {'; '.join(failed)}")
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
    seed: Annotated[int, typer.Option("--seed", min=0, help="of the samples drawn")] = 0,
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
        found = read_sheet(opened, settings.name, filled, by or username())
        return finish(
            {"filled": [each._asdict() | {"accurate": each.accurate._asdict()} for each in found]},
            as_json,
            _lines(found),
        )
    names = systems.split(",")
    find_systems(opened, settings, names)
    prepare(store)
    from flows.accuracy_sheet import accuracy_sheet

    address = accuracy_sheet(campaign, store, names, items, seed, base, preset)
    then = f"write yes or no under accurate for every item, then: andon sheet {campaign} FILE"
    finish({"sheet": address}, as_json, [address, then])


def _lines(found: list[Reading]) -> list[str]:
    return [f"{each.system:<40} {each.accurate}  of {each.accurate.n}, read by {each.by}" for each in found]


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
    trained_with = find_run(opened, settings.name, run).get("campaign")  # not before runs said so
    settings = Campaign.model_validate(trained_with) if trained_with else settings
    evaluation = evaluation_of(opened, settings.name, run)
    entry = promote_by_hand(opened, settings, run, reason, by or username(), evaluation)
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
    entry = rollback(opened, name, reason, by or username())
    stopped = [each.pull for each in open_pulls(opened, name, entry["run"])] if entry["run"] else []
    lines = [f"champion of {campaign}: {entry['run'] or 'the base'}"]
    lines += [f"  nothing is sampled from it before {each} is released" for each in stopped]
    finish({"champion": entry["run"], "stopped_by": stopped}, as_json, lines)
