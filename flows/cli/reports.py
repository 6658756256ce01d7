"""Commands that write about runs: `andon report` and `andon metrics`."""

from typing import Annotated

import typer

from data.campaign import load_campaign
from data.campaign.campaign import shipped_campaigns
from data.errors import Refused
from data.paths import CAMPAIGNS
from data.reports.campaign import report_campaign
from data.reports.run import report_run
from data.runs.registry import find_run, runs
from data.store import folders, open_store
from flows.cli.app import app
from flows.cli.campaigns import name_of
from flows.cli.environment import prepare
from flows.cli.options import STORE, InStore, Json, StoreUri
from flows.cli.output import finish


@app.command()
def report(
    wanted: Annotated[str, typer.Argument(help="A finished run, or a campaign for all its rounds.", metavar="RUN")],
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Write the report of a run or of a campaign.

    The report has the latest state of the store. The output says where the report is.
    """
    opened = open_store(store)
    names = list(folders(opened, CAMPAIGNS))
    for name in names:
        if any(run.facts["run"] == wanted for run in runs(opened, name)):
            address = report_run(opened, name, wanted).address("report.html")
            return finish({"report": address}, as_json, [address])
    is_file_or_shipped = wanted.endswith(".toml") or wanted in shipped_campaigns()
    name = load_campaign(wanted).name if is_file_or_shipped else wanted
    if name not in names:
        raise Refused(
            f"{store} has no finished run and no campaign called {wanted}. Its campaigns: {', '.join(names) or 'none'}."
        )
    address = report_campaign(opened, name).address("report.html")
    finish({"report": address}, as_json, [address])


@app.command()
def metrics(
    campaign: InStore,
    run: Annotated[
        str | None, typer.Argument(help="A finished run. The default is all of them.", metavar="[RUN]")
    ] = None,
    tensorboard: Annotated[
        str | None, typer.Option("--tensorboard", help="A folder for TensorBoard's events.", envvar="ANDON_TENSORBOARD")
    ] = None,
    mlflow: Annotated[
        str | None, typer.Option("--mlflow", help="The tracking URI of MLflow.", envvar="MLFLOW_TRACKING_URI")
    ] = None,
    store: StoreUri = STORE,
    as_json: Json = False,
) -> None:
    """Copy the metrics of finished runs to TensorBoard or MLflow.

    If ANDON_TENSORBOARD or MLFLOW_TRACKING_URI is set, every retrain copies its metrics by itself.
    """
    opened = open_store(store)
    name = name_of(campaign, opened)
    if tensorboard is None and mlflow is None:
        raise Refused(
            "There is no place to copy metrics to. Give --tensorboard FOLDER or --mlflow URI, or set ANDON_TENSORBOARD "
            "or MLFLOW_TRACKING_URI."
        )
    finished = runs(opened, name) if run is None else [find_run(opened, name, run)]
    prepare(store)
    from tasks.tracking import copy_run

    copied, failures = 0, []
    for variable, place in (("ANDON_TENSORBOARD", tensorboard), ("MLFLOW_TRACKING_URI", mlflow)):
        for one in finished if place else ():
            try:
                copied += copy_run(store, name, one.facts["run"], variable, str(place))
            except Refused as refusal:
                failures.append(f"{one.facts['run']}: {refusal}")
    if failures:
        raise Refused(f"{copied} runs were copied, but not all: {'; '.join(failures)}")
    lines = [f"{copied} of {len(finished)} finished runs copied; the others have been copied before"]
    finish({"runs": len(finished), "copied": copied}, as_json, lines)
