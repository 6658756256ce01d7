"""What a team has around the flows, for tests: a server and what a person does on its pages, stores, and trainers."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pyarrow.parquet as pq

from data.batches.schema import write_table
from data.campaign import load_campaign
from data.ingest import pipeline
from data.labels.label_sets import freeze
from data.store import LocalStore
from flows.local_server import ROOT, Platform
from tests.conftest import TINY

PATIENCE_S = 900  # how long a test waits before it fails; machines may be busy
ASK_S = 0.5  # between questions to the server, each of which takes both processes some ten milliseconds of CPU
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


def until(what: str, found: Callable[[], Any], every_s: float = 0.05) -> Any:
    """Wait for something to be true and return it."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(every_s)
    raise AssertionError(f"it never happened: {what}")


class Server:
    """What a person does on the pages of a Prefect server."""

    def __init__(self, running: Platform) -> None:
        self.running = running
        self.api = httpx.Client(base_url=running.environment["PREFECT_API_URL"], timeout=600)

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask until there is an answer: on a busy machine SQLite makes the server say 503, as its clients know."""
        ready = until(path, lambda: (r := self.api.request(method, path, json=body)).status_code != 503 and r)
        return ready.raise_for_status().json()

    def start(self, deployment: str, launch: str | None = None, **parameters: Any) -> str:
        """Run a deployment, by default as it is deployed; `launch` is another accelerate config, or "" for none."""
        found = self.ask("GET", f"/deployments/name/{deployment}")["id"]
        body: dict[str, Any] = {"parameters": parameters}
        if launch is not None:
            body["job_variables"] = {"env": {"ANDON_LAUNCH": launch}}
        return str(self.ask("POST", f"/deployments/{found}/create_flow_run", body)["id"])

    def state(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/flow_runs/{run}")["state"]
        return found

    def ended(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = until(f"run {run} ends", lambda: (s := self.state(run))["type"] in FINAL and s, ASK_S)
        return found

    def completed(self, run: str) -> None:
        state = self.ended(run)
        assert state["type"] == "COMPLETED", state["message"]

    def runs(self, deployment: str) -> list[dict[str, Any]]:
        body = {"deployments": {"name": {"any_": [deployment]}}, "sort": "EXPECTED_START_TIME_ASC"}
        found: list[dict[str, Any]] = self.ask("POST", "/flow_runs/filter", body)
        return found

    def deliver(self, store: Path, batch: str, file: Path) -> str:
        """Deliver a file by the command that tells the server, and return the run that its event started."""
        deliver = ["deliver", "sentiment", batch, str(file), "--store", str(store), "--json"]
        command, environment = [sys.executable, "-m", "flows.cli", *deliver], self.running.environment
        told = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True)
        assert json.loads(told.stdout)["notified"]

        def triggered() -> list[dict[str, Any]]:
            return [run for run in self.runs("ingest_labels") if not run["auto_scheduled"]]

        (run,) = until("the event starts a run", triggered, ASK_S)
        assert run["created_by"]["type"] == "AUTOMATION"
        return str(run["id"])

    def log(self) -> str:
        """Return the last lines that all runs wrote on their pages."""
        return str(self.ask("POST", "/logs/filter", {"logs": {"level": {"ge_": 20}}, "sort": "TIMESTAMP_DESC"}))

    def artifacts(self, *runs: str) -> dict[str, dict[str, Any]]:
        """Return what flow runs show on their pages, by key; of two of one key, the later."""
        body = {"artifacts": {"flow_run_id": {"any_": list(runs)}}, "sort": "UPDATED_DESC"}
        found = self.ask("POST", "/artifacts/filter", body)
        return {each["key"]: each for each in reversed(found)}


def write_campaign(path: Path, base: Path, **changes: Any) -> Path:
    """Write the sentiment campaign with sizes of a test, as a team's own file."""
    tiny = load_campaign("sentiment", changes=TINY | {"base": str(base)})
    settings = tiny.model_dump(mode="json", exclude_none=True)
    settings["promotion"]["win_rate_above"] = 0.0
    for table, values in changes.items():
        settings[table] |= values
    path.write_text("\n".join(_toml(settings)))
    load_campaign(str(path))
    return path


def _toml(settings: dict[str, Any], table: str = "") -> Iterator[str]:
    for name, value in settings.items():
        if not isinstance(value, dict):
            yield f"{name} = {json.dumps(value)}"
    for name, value in settings.items():
        if isinstance(value, dict):
            yield f"[{table}{name}]"
            yield from _toml(value, f"{table}{name}.")


def export(store: Path, campaign: Path) -> tuple[str, list[Path]]:
    """Publish a batch; return its id and two answer files, each with one labeler's answers to all of it."""
    from tasks.batches import publish_batch, vendor_files

    batch = publish_batch.fn(str(store), load_campaign(str(campaign)), 1, 0)
    rows = pq.read_table(vendor_files(str(store), "sentiment", batch)[0]).select(["question_id", "content_sha256"])
    rows = rows.append_column("best", [[n % 4 for n in range(len(rows))]])
    files = [store.parent / f"{store.name}-answers-of-{labeler}.parquet" for labeler in ("ann", "ben")]
    for file, labeler in zip(files, ("ann", "ben"), strict=True):
        write_table(rows.append_column("labeler_id", [[labeler] * len(rows)]), file)
    return batch, files


def take_in(store: Path, campaign: Path, file: Path) -> None:
    """Ingest a file, without a flow."""
    scratch = file.with_suffix(".scratch")
    scratch.mkdir()
    pipeline.ingest(LocalStore(store), "sentiment", file, scratch, load_campaign(str(campaign)).quality)


def train_through(store: Path, campaign: Path, seed: int = 1) -> dict[str, str]:
    """Train a copy of a store here, without a flow, a server or a child process; return the hashes of its weights."""
    from models.training.job import Job
    from tasks.training import identify_run, train_policy, train_reward

    whole = store.with_name(f"{store.name}-whole")
    shutil.copytree(store, whole)
    settings, label_set = load_campaign(str(campaign)), freeze(LocalStore(whole), "sentiment")
    assert label_set is not None
    run, precision = identify_run.fn(str(whole), settings, label_set, seed)
    job = Job(str(whole), settings, run, label_set, seed, precision=precision)
    train_reward.fn(job)
    train_policy.fn(job)
    return weights(whole)


def weights(store: Path) -> dict[str, str]:
    """Return the hashes of the weights of all published trainings, by run and step."""
    found = {}
    for step in ("reward", "policy"):
        for manifest in store.glob(f"campaigns/sentiment/runs/*/{step}/manifest.json"):
            run = manifest.parent.parent.name
            found[f"{run}/{step}"] = json.loads(manifest.read_text())["files"]["model.safetensors"]["sha256"]
    return found


def saved(store: Path, step: str) -> list[Path]:
    """Return the whole checkpoints of a training under way."""
    return list(store.glob(f"campaigns/sentiment/runs/*/{step}/**/checkpoints/*/manifest.json"))


def trainers(store: Path) -> list[psutil.Process]:
    """Return the processes that train for a store; the flow's own process names it nowhere."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "models.steps" in words:
            job = Path(words[-1])
            if job.is_file() and json.loads(job.read_text())["store"] == str(store):
                found.append(process)
    return found


def kill(process: psutil.Process) -> None:
    """End a process at once, as a machine that loses power ends it."""
    if process.is_running():
        process.kill()


def kill_machine(worker: subprocess.Popen[bytes]) -> None:
    """Kill a worker with all that it started, and at once: what is stopped first starts nothing more meanwhile."""
    machine: list[psutil.Process] = []
    root = psutil.Process(worker.pid)
    while new := [process for process in (root, *root.children(recursive=True)) if process not in machine]:
        for process in new:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        machine += new
    for process in machine:
        kill(process)
    worker.wait()
    psutil.wait_procs(machine)
