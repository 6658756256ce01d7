"""The bug bench: real trainings with known bugs, and the sentinels that pull the cord: `make bugbench`.

For each of three seeds, simulated labelers answer a batch of the embedded base with gold questions and overlap, and a
reward model is trained. Then every bug is put into a copy of the tree, or into the vendor's file. The training runs in
its own process until a sentinel pulls the cord, or until UPDATES are over. 20 sound trainings of other seeds show the
false alarms. The bench prints one row a bug. Finished work is kept in FOLDER, so an interrupted
`python -m bench.checks.bugbench FOLDER` continues. With --base it trains a real model, in batches of 16 episodes with
short queries, from one seed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.arguments import parser
from data.batches.schema import write_table
from data.campaign import Campaign, load_campaign
from data.campaign.campaign import merged
from data.cord import cord
from data.errors import Refused
from data.ingest.pipeline import ingest
from data.labels.label_sets import freeze
from data.paths import run_prefix
from data.simulation.labelers import write_answers
from data.store import LocalStore
from tests.support.bugs import BUGS as KNOWN_BUGS
from tests.support.bugs import Bug

ROOT = Path(__file__).resolve().parents[2]
SEEDS, UPDATES, SOUND_RUNS, SOUND_UPDATES = (1, 2, 3), 10, 20, 10
BATCH = 64
SETTINGS: dict[str, Any] = {
    "batch": {"questions": 600},
    "policy": {"episodes": BATCH * UPDATES, "batch": BATCH},
    "sentinels": {"samples": BATCH},
}


SEEDS_OF_A_BASE, SOUND_RUNS_OF_A_BASE = (1,), 4
REAL: dict[str, Any] = {  # a real model: the paper's learning rates, and a batch that takes seconds
    "text": {"query_tokens": 16, "truncate_after": 8},
    "batch": {"questions": 300},
    "reward": {"lr": 5e-5, "normalisation_samples": 64},
    "policy": {"episodes": 16 * UPDATES, "batch": 16, "lr": 3e-5},
    "sentinels": {"samples": 16},
}


def campaign_of(base: str, updates: int = UPDATES) -> Campaign:
    """Return the campaign that the bench trains from this base."""
    settings = SETTINGS if base == "embedded" else merged(REAL, {"base": base})
    episodes = settings["policy"]["batch"] * updates
    return load_campaign("sentiment", "vendor", merged(settings, {"policy": {"episodes": episodes}}))


BUGS = tuple(bug for bug in KNOWN_BUGS if bug.step)
FILE_FAULTS = ("label file inverted", "labels joined to wrong questions", "options unmapped")


def prepared(folder: Path, seed: int, base: str) -> tuple[LocalStore, Campaign]:
    """Return a store with a labeled batch and a trained reward model, made once."""
    from models.steps import STEPS
    from models.training.job import Job
    from tasks.batches import publish_batch, vendor_files

    store, campaign = LocalStore(folder / "store"), campaign_of(base)
    if not (folder / "ready").exists():
        batch = publish_batch.fn(store.uri, campaign, 1, seed)
        assert campaign.labelers is not None
        for name, prefers in (("answers", "positive"), ("inverted", "negative")):
            pool = campaign.labelers.model_copy(update={"prefers": prefers})
            write_answers(pool, vendor_files(store.uri, campaign.name, batch), folder / f"{name}.parquet")
        shutil.copytree(folder / "store", folder / "unlabeled")
        deliver(store, campaign, folder / "answers.parquet")
        label_set = freeze(store, campaign.name)
        assert label_set is not None
        STEPS["reward"](Job(store.uri, campaign, "run-sound", label_set, seed))
        (folder / "ready").write_text(label_set)
    return store, campaign


def deliver(store: LocalStore, campaign: Campaign, file: Path) -> str:
    """Let a vendor deliver a file; return why it is held, "" if it is not."""
    with tempfile.TemporaryDirectory() as scratch:
        outcome = ingest(store, campaign.name, file, Path(scratch), campaign.quality)
    held = ", ".join(finding["fault"] for finding in outcome.findings)
    return f"held: {held}" if outcome.decision != "accept" else ""


def faulty_file(folder: Path, fault: str, seed: int, base: str) -> str:
    """Let a vendor deliver a faulty file, and return what ingest said of it."""
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(folder / "unlabeled", Path(scratch) / "store")
        table = pq.read_table(folder / ("inverted.parquet" if fault == "label file inverted" else "answers.parquet"))
        draw = np.random.default_rng(seed)
        if fault == "labels joined to wrong questions":  # the answers are joined to the ids of other questions
            ids, said = table.select(["question_id", "content_sha256"]), table.drop(["question_id", "content_sha256"])
            said = said.take(draw.permutation(len(table)))
            table = pa.table({name: side[name] for side in (ids, said) for name in side.column_names})
        if fault == "options unmapped":
            best = pa.array([int(draw.permutation(4)[place]) for place in table["best"].to_pylist()])
            table = table.set_column(table.schema.get_field_index("best"), "best", best)
        write_table(table, Path(scratch) / "delivery.parquet")
        campaign = campaign_of(base)
        try:
            return deliver(LocalStore(Path(scratch) / "store"), campaign, Path(scratch) / "delivery.parquet")
        except Refused as refusal:
            return str(refusal).split(": ")[1]


def broken_tree(bug: Bug, folder: Path) -> Path:
    """Return a copy of the tree with the bug in it."""
    ignored = shutil.ignore_patterns(".*", "__pycache__", "docs", "andon-*", "build")
    shutil.copytree(ROOT, folder, ignore=ignored)
    try:
        bug.put_into(folder)
    except ValueError as error:
        sys.exit(str(error))
    return folder


def trained(store: LocalStore, tree: Path, run: str, steps: list[str], seed: int, base: str, other: Path) -> str:
    """Run a training with the code of `tree`; return the first sentinel that pulled, and at which update."""
    if "reward" not in steps:  # the sound one, under this run's name
        ours, theirs = (f"{run_prefix('sentiment', name)}/reward/manifest.json" for name in (run, "run-sound"))
        store.put_new(ours, store.read(theirs))
    command = [sys.executable, "-m", "bench.checks.bugbench", "--train", store.uri, run, ",".join(steps)]
    command += [str(seed), base]
    environment = {**os.environ, "OTHER_REWARD": str(other), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    pulled = [p.pull for p in cord.pulls(store) if p.pull.scope == f"run:{run}"]
    if pulled:
        return f"{pulled[0].evidence['sentinel']} at {pulled[0].evidence['update']}"
    return "" if done.returncode == 0 else f"ended: {done.stderr.strip().splitlines()[-1][:80]}"


def train(store: str, run: str, steps: str, seed: str, base: str) -> None:
    """The child's part: the steps of one run with the code it finds."""
    from models.steps import STEPS
    from models.training.job import Job

    campaign = campaign_of(base, SOUND_UPDATES if run.startswith("run-sound") else UPDATES)
    label_set = freeze(LocalStore(Path(store)), campaign.name)
    assert label_set is not None
    for step in steps.split(","):
        STEPS[step](Job(store, campaign, run, label_set, int(seed)))


def rows(folder: Path, base: str) -> Iterator[tuple[str, int, str]]:
    """Yield bug, seed and what caught it ("" for nothing), from FOLDER where it was done before."""
    done: dict[str, str] = {}
    log = folder / "caught.json"
    if log.exists():
        done = json.loads(log.read_text())

    def once(name: str, seed: int, work: Any) -> tuple[str, int, str]:
        key = f"{name} / {seed}"
        if key not in done:
            done[key] = work()
            log.write_text(json.dumps(done, indent=1))
            print(f"# {key}: {done[key] or 'not caught'}", flush=True)
        return name, seed, done[key]

    seeds = SEEDS if base == "embedded" else SEEDS_OF_A_BASE
    for seed in seeds:
        (folder / f"seed-{seed}").mkdir(parents=True, exist_ok=True)
        store, _ = prepared(folder / f"seed-{seed}", seed, base)
        prepared_other = folder / f"seed-{SEEDS[seed % len(SEEDS)]}"
        prepared_other.mkdir(parents=True, exist_ok=True)
        other, _ = prepared(prepared_other, SEEDS[seed % len(SEEDS)], base)
        theirs = other.keys(run_prefix("sentiment", "run-sound"))
        wrong = other.local_path(next(key for key in theirs if key.endswith("head.safetensors"))).parent
        for fault in FILE_FAULTS:
            yield once(fault, seed, lambda f=fault, s=seed: faulty_file(folder / f"seed-{s}", f, s, base))
        for bug in BUGS:

            def work(bug: Bug = bug, seed: int = seed, store: LocalStore = store, wrong: Path = wrong) -> str:
                with tempfile.TemporaryDirectory() as scratch:
                    tree = broken_tree(bug, Path(scratch) / "tree")
                    steps = ["reward", "policy"] if bug.step == "reward" else ["policy"]
                    run = "run-" + "".join(c if c.isalnum() else "-" for c in bug.name)
                    return trained(store, tree, run, steps, seed, base, wrong)

            yield once(bug.name, seed, work)
    for number in range(SOUND_RUNS if base == "embedded" else SOUND_RUNS_OF_A_BASE):
        seed = seeds[number % len(seeds)]
        store, _ = prepared(folder / f"seed-{seed}", seed, base)
        run = f"run-sound-{number}"
        yield once(
            f"sound run {number}", seed,
            lambda n=number, s=store, r=run: trained(s, ROOT, r, ["policy"], 100 + n, base, ROOT),
        )  # fmt: skip


def main(folder: Path, base: str) -> None:
    catches: dict[str, list[str]] = {}
    for name, _, caught in rows(folder, base):
        catches.setdefault("sound runs" if name.startswith("sound") else name, []).append(caught)
    print("| bug | caught | by, at update (-1: before the first) | episodes before |\n" + "|---" * 4 + "|")
    for name, all_caught in catches.items():
        at = [int(by.rsplit(" ", 1)[1]) for by in all_caught if " at " in by]
        batch = campaign_of(base).policy.batch
        episodes = f"{max(0, max(at)) * batch:,} to {(max(0, max(at)) + 1) * batch:,}" if at else "none"
        count = f"{sum(bool(by) for by in all_caught)} of {len(all_caught)}"
        print(f"| {name} | {count} | {'; '.join(dict.fromkeys(by for by in all_caught if by))} | {episodes} |")


if __name__ == "__main__":
    arguments = parser("bench.checks.bugbench", __doc__)
    arguments.add_argument("folder", type=Path, help="where finished work is kept", nargs="?")
    arguments.add_argument("--base", default="embedded", help="a checkpoint folder, by its absolute path")
    arguments.add_argument("--train", nargs=5, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.train:  # the part of a child process: store, run, steps, seed and base
        train(*given.train)
    elif given.folder:
        main(given.folder, given.base)
    else:
        arguments.error("FOLDER is missing")
