"""Prefect tasks of the training: reward model and policy, each from the base, each published when it is done."""

import subprocess
import sys
import tempfile
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from data.campaign import Campaign
from data.canonical import content_id
from data.refused import Refused
from models.base import open_base
from models.steps import STEPS, Job

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
    """Run a step in this process, or in as many as the accelerate config `launch` says."""
    if launch is None:
        return STEPS[step](job)
    if job.published(step) is not None:
        return
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "job.json"
        job.write(file)
        launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(launch)]
        done = subprocess.run([*launcher, "-m", MODULES[step], str(file)], check=False)
    if done.returncode:
        raise Refused(f"The {step} training ended with exit code {done.returncode}; what it said stands above.")
