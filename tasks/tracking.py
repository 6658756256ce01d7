"""Prefect task that copies the metrics of a finished run to TensorBoard and to MLflow.

The store has the originals. Each run is copied once, and a run never fails because of a copy. Both libraries are
extras: `pip install "andon[tensorboard]"`, `pip install "andon[mlflow]"`.
"""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from prefect import task
from prefect.cache_policies import NO_CACHE

from data.console import say
from data.errors import Refused
from data.runs.registry import find_run
from data.store import open_store
from data.store.manifest import Publication

METRICS_PER_REQUEST = 1_000  # the limit of MLflow
LONGEST_PARAMETER = 500  # characters, the limit of MLflow
TIMEOUTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}  # the defaults wait for minutes
PASSWORD = re.compile(r"(?<=//)\S*@|(?<=password=)[^&\s]+")


@task(cache_policy=NO_CACHE)
def track_run(store_uri: str, campaign: str, run: str) -> None:
    """Copy a finished run to the folder ANDON_TENSORBOARD and the server MLFLOW_TRACKING_URI, if they are set."""
    for variable in PLACES:
        if place := os.environ.get(variable):
            try:
                copy_run(store_uri, campaign, run, variable, place)
            except Refused as refusal:  # the run is finished, whatever is wrong with the copy
                say(f"metrics: {refusal}")


def copy_run(store_uri: str, campaign: str, run: str, variable: str, place: str) -> bool:
    """Copy a finished run to the place that a variable names; False if the copy exists already.

    Every error becomes Refused, in one line without passwords.
    """
    try:
        return PLACES[variable](find_run(open_store(store_uri), campaign, run), campaign, place)
    except Exception as error:  # of libraries whose errors are not documented
        message = (str(error).splitlines() or [type(error).__name__])[0]
        raise Refused(_without_password(f"not copied to {place} ({variable}): {message}")) from error


def to_tensorboard(run: Publication, campaign: str, folder: str) -> bool:
    """Write a run's metrics as TensorBoard events into FOLDER/CAMPAIGN/RUN; False if they exist already."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise Refused('TensorBoard is not installed: pip install "andon[tensorboard]".') from error
    if "://" in folder:
        raise Refused(f"{folder} is an address, but TensorBoard's events are written into a folder. Give a folder.")
    target = Path(folder).expanduser() / campaign / run["run"]
    if list(target.glob("events.out.tfevents.*")):
        return False
    ended = datetime.fromisoformat(run.manifest["ended"]).timestamp()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as unfinished:
        with SummaryWriter(f"{unfinished}/events") as writer:
            for name, step, value in _metrics(run):
                writer.add_scalar(name, value, step, walltime=ended)
            for name, value in _outcome(run).items():
                writer.add_scalar(f"outcome/{name}", value, run["round"], walltime=ended)
        Path(unfinished, "events").rename(target)
    say(f"metrics: {target}")
    return True


def to_mlflow(run: Publication, campaign: str, uri: str) -> bool:
    """Log settings, metrics and outcome of a run to MLflow, in its campaign's experiment; False if they exist."""
    try:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param, RunTag
    except ImportError as error:
        raise Refused('MLflow is not installed: pip install "andon[mlflow]".') from error
    for variable, value in TIMEOUTS.items():
        os.environ.setdefault(variable, value)
    client = MlflowClient(tracking_uri=uri)
    existing = client.get_experiment_by_name(f"andon-{campaign}")
    experiment = client.create_experiment(f"andon-{campaign}") if existing is None else existing.experiment_id
    if client.search_runs([experiment], f"tags.\"andon.run\" = '{run['run']}' and attributes.status = 'FINISHED'"):
        return False
    began, ended = _milliseconds(run.manifest["began"]), _milliseconds(run.manifest["ended"])
    tags = {"andon.run": run["run"], "andon.label_set": run["label_set"], "andon.base": run["base"]}
    made = client.create_run(experiment, start_time=began, run_name=run["run"])
    params = [Param(name, value[:LONGEST_PARAMETER]) for name, value in _settings(run["recipe"])]
    client.log_batch(made.info.run_id, tags=[RunTag(*tag) for tag in tags.items()], params=params)
    metrics = [Metric(name, value, ended, step) for name, step, value in _metrics(run)]
    metrics += [Metric(f"outcome/{name}", value, ended, run["round"]) for name, value in _outcome(run).items()]
    for start in range(0, len(metrics), METRICS_PER_REQUEST):
        client.log_batch(made.info.run_id, metrics=metrics[start : start + METRICS_PER_REQUEST])
    client.set_terminated(made.info.run_id, end_time=ended)
    say(_without_password(f"metrics: MLflow run {made.info.run_id} of andon-{campaign} at {uri}"))
    return True


PLACES = {"ANDON_TENSORBOARD": to_tensorboard, "MLFLOW_TRACKING_URI": to_mlflow}


def _without_password(text: str) -> str:
    return PASSWORD.sub("", text)


def _milliseconds(at: str) -> int:
    """Return a time of a manifest as MLflow counts it, since 1970."""
    return int(datetime.fromisoformat(at).timestamp() * 1000)


def _metrics(run: Publication) -> Iterator[tuple[str, int, float]]:
    """Yield (name, step, value) of every metric of every step."""
    for row in pq.read_table(run.path("metrics.parquet")).to_pylist():
        yield f"{row['stage']}/{row['name']}", row["step"], row["value"]


def _outcome(run: Publication) -> dict[str, float]:
    """Return the outcome of a run as numbers."""
    facts = run.manifest["facts"]
    numbers = {"labels": facts["labels"], "kl": facts["kl_nats_per_seq"], "valid": facts["valid"]}
    for name in ("win_rate", "champion_win_rate", "best_of_win_rate", "reward_accuracy"):
        if rate := facts.get(name):
            numbers |= {name: rate["value"], f"{name}_low": rate["low"], f"{name}_high": rate["high"]}
    return {name: float(value) for name, value in numbers.items()}


def _settings(recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for table, values in recipe.items():
        if isinstance(values, Mapping):
            yield from ((f"{table}.{name}", str(value)) for name, value in values.items())
