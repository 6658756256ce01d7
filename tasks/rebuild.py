"""Prefect task that trains a finished run again, outside the store, and compares the weights."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import torch
from prefect import task
from prefect.cache_policies import NO_CACHE

from data.campaign import Campaign
from data.console import say
from data.runs.rebuild import circumstances, copy_inputs, differing, find_anywhere, step_of, weights
from data.shapes import checked_settings
from data.store import LocalStore, open_store
from data.store.manifest import Publication
from models.lm.base import fingerprint
from models.reward.ensemble import load_ensemble
from models.steps import STEPS
from models.training.job import Job
from models.training.processes import processes


class RebuildResult(TypedDict):
    """The comparison of a run with its rebuilt weights."""

    run: str
    weights: int  # number of compared files
    different: list[str]  # files that differ
    circumstances: list[str]  # differences in machine, packages and query files


@task(cache_policy=NO_CACHE)
def rebuild_run(store_uri: str, run: str) -> RebuildResult:
    """Train a run again from its label set, settings, base and seed; return the weights that differ, and why.

    The number of threads and the precision are those of the recorded training. Nothing is written into the store.
    """
    store = open_store(store_uri)
    published = find_anywhere(store, run)
    campaign = checked_settings(published["campaign"], Campaign, f"The campaign of {run}")
    different: list[str] = []
    around: list[str] = []
    compared = 0
    with tempfile.TemporaryDirectory() as folder:
        scratch = LocalStore(Path(folder) / "store")
        copy_inputs(store, campaign.name, published["label_set"], scratch)
        job = Job(scratch.uri, campaign, run, published["label_set"], published["seed"])
        for step, train in STEPS.items():
            recorded = step_of(store, published, step)
            if recorded is None:
                continue
            if recorded["device"] == "cpu":
                processes()  # sets the number of threads, once
                torch.set_num_threads(recorded["threads"])
            say(f"{step}: trained again from the manifest of {run}")
            train(replace(job, precision=recorded.get("precision")))
            rebuilt = job.published(step)
            assert rebuilt is not None
            different += [f"{step}/{name}" for name in _differing(step, recorded, rebuilt)]
            around += [text for text in circumstances(recorded, rebuilt) if text not in around]
            compared += weights(recorded)
    return {"run": run, "weights": compared, "different": different, "circumstances": around}


def _differing(step: str, recorded: Publication, rebuilt: Publication) -> list[str]:
    """Return the files of weights that differ; an older reward model may have the same weights in other files."""
    names = differing(recorded, rebuilt)
    if step != "reward" or not names:
        return names
    one, other = (load_ensemble(each.folder()).members for each in (recorded, rebuilt))
    same = len(one) == len(other) and all(fingerprint(a) == fingerprint(b) for a, b in zip(one, other, strict=True))
    return [] if same else names
