"""Prefect tasks of the training: reward model and policy, each trained from the base and then published."""

import os
import subprocess
import tempfile
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from andon_launcher import command, script
from data.campaign import Campaign
from data.campaign.queries import edition
from data.console import say
from data.cord.cord import pulls
from data.cord.entries import stopped_by
from data.errors import Refused
from data.runs.champion import opponent_of
from data.runs.identity import RunInputs, name_run
from data.runs.stops import stops
from data.store import open_store
from models.evaluation.systems import open_champion
from models.lm.base import open_base
from models.lm.precision import Precision, chosen_precision, training_precision
from models.steps import STEPS
from models.training.job import Job
from tasks.artifacts import show_pulls
from tasks.progress import progress_shown


@task(cache_policy=NO_CACHE)
def check_rival(store_uri: str, campaign: Campaign, run: str) -> None:
    """Raise Refused if the champion, which a run is compared with, has another vocabulary than the run's base."""
    store = open_store(store_uri)
    if (leader := opponent_of(store, campaign.name, run)) is not None:
        open_champion(store, campaign, leader, open_base(campaign.base, campaign.text))


@task(cache_policy=NO_CACHE)
def identify_run(store_uri: str, campaign: Campaign, label_set: str, seed: int) -> tuple[str, str]:
    """Return the id and the precision of a run: of the run that has these inputs already, or of a new one.

    The id is a hash of what decides the weights. A run that was begun in another precision keeps it, unless
    ANDON_PRECISION names one.
    """
    base = open_base(campaign.base, campaign.text)
    here, texts = training_precision(base.model), edition(campaign.text, "train")
    inputs = RunInputs(campaign, base.fingerprint, label_set, texts, seed, here)
    others = [] if chosen_precision() else [other for other in Precision if other != here]
    run, precision = name_run(open_store(store_uri), inputs, others)
    if precision != here:
        say(f"{run} continues in {precision}, in which it was begun; this machine would use {here}.")
    return run, precision


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
    try:
        with progress_shown():
            if config and job.published(step) is None:
                _launch(step, job, config)
            else:  # here, where one is published too: what it saved on its way may be left
                STEPS[step](job)
    finally:
        show_pulls(job.plain_store, job.campaign.name, job.run)


def _launch(step: str, job: Job, config: Path | str) -> None:
    """Run a step in the processes of an accelerate config; raise Stopped or Refused as they ended."""
    store, name = job.plain_store, job.campaign.name
    before = len(stops(store, name, job.run))
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "job.json"
        job.write(file)
        training = script("models.steps", step, str(file))
        exit_code = _follow(command("models.training.launch", "--config_file", str(config), *training))
    if exit_code:
        # accelerate makes an exit code of 3 in one of several processes a 1, so the run's own record decides.
        if len(recorded := stops(store, name, job.run)) > before:
            raise stopped_by([each.pull for each in pulls(store) if each.pull.pull in recorded[-1]["pulls"]])
        raise Refused(f"The {step} training ended with exit code {exit_code}; what it said stands above.")


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
