"""Prefect tasks of the training: reward model and policy, each from the base, each published when it is done."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext

from data.campaign import Campaign
from data.canonical import content_id
from data.cord import Stopped, one_line, pulls
from data.refused import Refused
from data.store import open_store
from data.watch import stops
from models.base import open_base
from models.job import Job
from models.steps import STEPS
from tasks.stage import say

MODULES = {"supervised": "models.supervised", "reward": "models.reward", "policy": "models.ppo"}


@task(cache_policy=NO_CACHE)
def run_id(campaign: Campaign, label_set: str, seed: int) -> str:
    """Return the id of a run: a hash of all that decides its outcome."""
    base = open_base(campaign.base, campaign.text.positions).fingerprint
    return "run-" + content_id([campaign.name, base, label_set, campaign.recipe(), seed])


@task(cache_policy=NO_CACHE)
def train_supervised(job: Job, launch: Path | None = None) -> None:
    """Fine-tune the base on references, where the campaign asks for it."""
    if job.campaign.supervised is not None:
        _run("supervised", job, launch)


@task(cache_policy=NO_CACHE)
def train_reward(job: Job, launch: Path | None = None) -> None:
    """Train the run's reward model."""
    _run("reward", job, launch)


@task(cache_policy=NO_CACHE)
def train_policy(job: Job, launch: Path | None = None) -> None:
    """Train the run's policy."""
    _run("policy", job, launch)


def _run(step: str, job: Job, launch: Path | None) -> None:
    """Run a step in this process, or in as many as an accelerate config says: `launch`, or the worker's ANDON_LAUNCH.

    The child stays in this process's group, so whatever ends the group asks it to save and leave.
    """
    config = launch or os.environ.get("ANDON_LAUNCH")
    if not config:
        try:
            return STEPS[step](job)
        finally:
            show_pulls(job)
    if job.published(step) is not None:
        return
    store, name = open_store(job.store), job.campaign.name
    before = len(stops(store, name, job.run))
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "job.json"
        job.write(file)
        launcher = [sys.executable, "-m", "models.launch", "--config_file", str(config)]
        exit_code = _follow([*launcher, "-m", MODULES[step], str(file)])
    show_pulls(job)
    if exit_code:
        # accelerate makes an exit code of 3 in one of several processes a 1, so the run's own record decides.
        if len(recorded := stops(store, name, job.run)) > before:
            raise Stopped([each.pull for each in pulls(store) if each.pull.pull in recorded[-1]["pulls"]])
        raise Refused(f"The {step} training ended with exit code {exit_code}; what it said stands above.")


def show_pulls(job: Job) -> None:
    """Show on the flow run's page who stopped this run, sentinels among them, with the likely causes."""
    found = [each for each in pulls(open_store(job.store)) if each.pull.scope == f"run:{job.run}"]
    if not found or FlowRunContext.get() is None:
        return
    table: list[dict[str, object]] = [
        {
            "pull": each.pull.pull,
            "by": each.pull.by,
            "what was seen": one_line(each.pull.reason),
            "update": each.pull.evidence.get("update", ""),
            "released by": "" if each.release is None else each.release.by,
        }
        for each in found
    ]
    create_table_artifact(table, key="cord", description=f"Pulls of the cord that stop {job.run}")


def _follow(command: list[str]) -> int:
    """Run a command, repeat its lines on the run's page, and return its exit code.

    The end of its output is the end of every process that it started. So a flow that is told to end, which Prefect
    raises here as an exception, waits until all of them have saved and left.
    """
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    assert child.stdout is not None
    try:
        for line in child.stdout:
            say(line.rstrip())
        return child.wait()
    except BaseException:
        child.terminate()
        child.stdout.read()
        child.wait()
        raise
