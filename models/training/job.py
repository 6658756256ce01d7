"""The job of a run's trainings: its inputs, its places in the store, its watch on the cord."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from data.campaign import Campaign
from data.canonical import Document
from data.console import say
from data.cord.watch import Watch
from data.errors import Stopped
from data.paths import run_prefix
from data.runs.checkpoints import Checkpoints
from data.runs.leases import Lease, fenced
from data.runs.stops import record_stop
from data.store import Store, open_store
from data.store.manifest import Publication, read_manifest
from models.training.loop import Look
from models.training.processes import processes
from models.training.watch import WatchTogether


@dataclass(frozen=True)
class Job:
    """The inputs of a run. It is written as JSON for a process that runs a step."""

    store: str
    campaign: Campaign
    run: str
    label_set: str
    seed: int
    lease: Lease | None = None  # it fences all writes
    changes: Document | None = None  # of the campaign since its labels were asked for, which a person accepted
    precision: str | None = None  # of its trainings, decided once for all processes; None: as this machine decides

    def write(self, path: Path) -> None:
        document: dict[str, Any] = {
            "store": self.store,
            "campaign": self.campaign.model_dump(mode="json"),
            "run": self.run,
            "label_set": self.label_set,
            "seed": self.seed,
            "lease": self.lease,
            "changes": self.changes,
            "precision": self.precision,
        }
        path.write_text(json.dumps(document), "utf-8")

    @staticmethod
    def read(path: Path) -> "Job":
        job = json.loads(path.read_text("utf-8"))
        lease = Lease(*job["lease"]) if job["lease"] else None
        return Job(**job | {"campaign": Campaign.model_validate(job["campaign"]), "lease": lease})

    @cached_property
    def plain_store(self) -> Store:
        """The store without a fence, to read from and to write what needs no lease."""
        return open_store(self.store)

    @cached_property
    def fenced_store(self) -> Store:
        """The store in which this job publishes: a write fails once another job has taken over the lease."""
        return self.plain_store if self.lease is None else fenced(self.plain_store, self.lease)

    def prefix(self, step: str) -> str:
        return f"{run_prefix(self.campaign.name, self.run)}/{step}"

    def published(self, step: str) -> Publication | None:
        return read_manifest(self.plain_store, self.prefix(step))

    def is_done(self, step: str, *saved: Checkpoints) -> bool:
        """Return whether a step is published. If so, remove its checkpoints, which a killed process may have left."""
        if self.published(step) is None:
            return False
        for checkpoints in saved:
            checkpoints.clear()
        return True

    def checkpoints(self, step: str, every: int) -> Checkpoints:
        return Checkpoints(self.fenced_store, self.prefix(step), every)

    def look(self) -> Look:
        """Return a function that raises if a pull stops this run."""
        timeout_s = self.campaign.watching.unreachable_seconds
        return WatchTogether(Watch(self.plain_store, self.campaign.name, self.run, timeout_s))


@contextmanager
def quarantined(job: Job, step: str, *saved: Checkpoints) -> Iterator[None]:
    """Record in the run the update and the pulls at which a training inside was stopped."""
    try:
        yield
    except Stopped as stopped:
        if processes().is_main:
            update = next((newest for checkpoints in reversed(saved) if (newest := checkpoints.newest())), 0)
            say(f"{step}: stopped after update {update}. It continues from there after the pull is released.")
            record_stop(job.plain_store, job.campaign.name, job.run, step, update, stopped.pulls)
        processes().wait()
        raise
