"""Everything that writes to a store, once: export, three deliveries, a training with its checkpoints, promote, pull,
release. Done again after a crash, it goes on, as the flows do.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pyarrow as pa

from data.batches.schema import blind, write_parts, write_table
from data.canonical import content_id
from data.cord import cord
from data.errors import Refused
from data.ingest import pipeline, sandbox
from data.labels.decisions import batch_statuses, override
from data.labels.label_sets import freeze, read_label_set
from data.labels.table import committed, deliveries
from data.runs import leases
from data.runs.champion import promote, promotion_log
from data.runs.checkpoints import Checkpoints
from data.simulation.faulty_vendor import make_questions
from data.store import LocalStore, Store, log
from data.store.manifest import publish, read_manifest

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BATCH, RUN = "campaigns/c/batches/b1", "campaigns/c/runs/r1"
REASON = "it praises murder"
CHECKPOINTS = 4


class Material(NamedTuple):
    """Files that are there before anything happens."""

    batch: dict[str, Path | bytes]
    deliveries: list[Path]


def material(folder: Path) -> Material:
    """Write a batch of twelve questions, and three answer files: the second repeats half of the first."""
    vendor, key = blind(make_questions(12, 2, gold=0)[0], "Which?", b"secret")
    write_table(key, folder / "key.parquet")
    batch: dict[str, Path | bytes] = dict(write_parts(vendor, folder))
    batch["key/samples.parquet"] = folder / "key.parquet"
    asked = vendor.select(["question_id", "content_sha256"])

    def answers(name: str, *parts: tuple[pa.Table, str]) -> Path:
        rows = [part.append_column("labeler_id", [[who] * len(part)]) for part, who in parts]
        table = pa.concat_tables(rows)
        write_table(table.append_column("best", [[n % 4 for n in range(len(table))]]), folder / name)
        return folder / name

    first = answers("first.parquet", (asked, "ann"))
    second = answers("second.parquet", (asked.slice(0, 6), "ann"), (asked, "ben"))
    return Material(batch, [first, second, answers("third.parquet", (asked, "cid"))])


def work(store: Store, made: Material, done: Callable[[str], None] = lambda step: None) -> None:
    """Do all of it, and say after each step that it is done: from then on it may not be lost."""
    publish(store, BATCH, "batch", made.batch, inputs={}, facts={"batch": "b1", "round": 1, "questions": 12}, began=NOW)
    done("export")
    for file in made.deliveries:
        with tempfile.TemporaryDirectory() as scratch:
            pipeline.ingest(store, "c", file, Path(scratch))
        done(f"ingest {file.stem}")
    if batch_statuses(store, "c")["b1"].decision != "accept":  # twelve questions are too few for the gates
        override(store, "c", "b1", "accept", "a test", None)
    done("decide")
    freeze(store, "c")
    done("freeze")
    if read_manifest(store, RUN) is None:
        lease = leases.acquire(store, "c", "trainer")
        own = leases.fenced(store, lease)
        checkpoints = Checkpoints(own, f"{RUN}/policy", 1)
        latest = checkpoints.latest()
        for step in range(latest[0] + 1 if latest else 1, CHECKPOINTS + 1):
            checkpoints.save(step, {"state.safetensors": bytes([step]) * 3000, "state.json": b"{}"})
            done(f"checkpoint {step}")
        publish(own, f"{RUN}/policy", "policy", {"model.safetensors": bytes(5000)}, inputs={}, facts={}, began=NOW)
        publish(own, RUN, "run", {"report.html": b"<!doctype html>"}, inputs={}, facts={"run": "r1"}, began=NOW)
        done("run")
        checkpoints.clear()
        leases.release(store, lease)
    promote(store, "c", "r1", "it reads well")
    done("promote")
    if not any(each.pull.reason == REASON for each in cord.pulls(store)):
        cord.pull(store, REASON, by="ann")
    done("pull")
    for each in cord.open_pulls(store):
        cord.release(store, each.pull, by="bob", reason="a quotation")
    done("release")


def visible(store: Store) -> tuple[Any, ...]:
    """Return what readers see, without times, every file read and checked; raise Refused where one is damaged."""
    for prefix in ("cord/log", "leases/log", "campaigns/c/labels/log", "campaigns/c/quality/log"):
        log.entries(store, prefix)
    batch, run, policy = (read_manifest(store, prefix) for prefix in (BATCH, RUN, f"{RUN}/policy"))
    for published in (batch, run, policy):
        if published is not None:
            published.folder()
    taken = deliveries(store, "c")
    sets = [name.removesuffix(".json") for name in _names(store, "campaigns/c/label_sets")]
    checkpoint = Checkpoints(store, f"{RUN}/policy", 1).latest()
    return (
        bool(batch),
        tuple((entry["file_sha256"], entry["accepted"]) for entry in taken),
        content_id([label.label_id for label in committed(store, taken)]),
        len(log.entries(store, "campaigns/c/quality/log")),
        tuple((name, len(read_label_set(store, "c", name)[1])) for name in sets),
        bool(policy),
        bool(run) or (checkpoint[0] if checkpoint else 0),  # once the run is there nobody looks for a checkpoint
        tuple(entry["run"] for entry in promotion_log(store, "c")),
        tuple((each.pull.reason, each.release is not None) for each in cord.pulls(store)),
    )


def counted_once(store: Store) -> bool:
    """Return whether the labels that the log counts are the labels that there are."""
    taken = deliveries(store, "c")
    ids = [label.label_id for label in committed(store, taken)]
    return bool(sum(entry["accepted"] for entry in taken) == len(set(ids)) == len(ids))


def _names(store: Store, prefix: str) -> list[str]:
    return [key.rsplit("/", 1)[1] for key in store.keys(prefix)]


def read_here(delivery: Path, rows: Path) -> sandbox.ParsedFile:
    """Read an answer file as data.ingest.sandbox.read_sandboxed, but in this process."""
    said = sandbox._read_into(delivery, rows)
    if "refused" in said:
        raise Refused(said["refused"])
    return sandbox.ParsedFile(rows, said["rows"], said["ignored"], said["texts"])


@contextmanager
def on_machine(state: Path, boot: int) -> Iterator[None]:
    """Be a process of its own with a home in `state`: what an earlier one held is held by a dead one.

    Answer files are read in this process, for a child each would take minutes.
    """
    with (
        patch.dict("os.environ", {"ANDON_STATE": str(state)}),
        patch.object(leases, "_started", lambda pid: str(boot)),
        patch.object(pipeline, "read_sandboxed", read_here),
    ):
        yield


def open_below(root: Path) -> LocalStore:
    return LocalStore(root / "store")
