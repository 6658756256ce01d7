"""Sound trainings of a real base in every precision, and the number of pulls, which should be 0.

Simulated labelers answer a batch of BASE, a checkpoint folder, and a reward model is trained. PPO then trains with two
learning rates and two seeds in each precision. A run has the first updates and the last ones of 2,000, so its learning
rate ends at a two-thousandth of its start. Processors without instructions for bf16 or fp16 compute the same roundings
by fp32 products (bench/half.py). Finished runs are kept in FOLDER, so an interrupted bench continues.
"""

import argparse
import json
import os
import subprocess
import sys
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

from bench.arguments import parser
from bench.half import HalfByFp32
from data.campaign import Campaign, load_campaign
from data.cord import cord
from data.ingest.pipeline import ingest
from data.labels.label_sets import freeze
from data.paths import run_prefix
from data.simulation.labelers import write_answers
from data.store import LocalStore
from data.store.manifest import read_manifest

RATES, SEEDS, PRECISIONS = (3e-5, 2e-6), (1, 2), ("bf16", "fp16", "fp32")
BATCH, UPDATES, FIRST, LAST = 16, 2_000, 3, 3
QUESTIONS, SAMPLES = 40, 64


def settings(base: str, lr: float) -> Campaign:
    """Return the campaign: short queries and responses, 16 episodes a batch."""
    changes: dict[str, Any] = {
        "base": base,
        "text": {"query_tokens": 16, "truncate_after": 8},
        "batch": {"questions": QUESTIONS},
        "reward": {"lr": 5e-5, "normalisation_samples": SAMPLES},
        "policy": {"episodes": BATCH * UPDATES, "batch": BATCH, "lr": lr, "kl_target": None, "kl_coefficient": 0.05},
        "sentinels": {"samples": BATCH},
        "watching": {"show_every": UPDATES},
    }
    return load_campaign("sentiment", None, changes)


def prepare(base: str, folder: Path) -> str:
    """Make a store with a labeled batch and a reward model, once; return its label set."""
    from models.steps import STEPS
    from models.training.job import Job
    from tasks.batches import publish_batch, vendor_files

    store, campaign, ready = LocalStore(folder / "store"), settings(base, 1e-5), folder / "ready"
    if not ready.exists():
        batch = publish_batch.fn(store.uri, campaign, 1, 1)
        assert campaign.labelers is not None
        write_answers(campaign.labelers, vendor_files(store.uri, campaign.name, batch), folder / "answers.parquet")
        ingest(store, campaign.name, folder / "answers.parquet", folder, campaign.quality)
        label_set = freeze(store, campaign.name)
        assert label_set is not None
        STEPS["reward"](Job(store.uri, campaign, "run-sound", label_set, 1, precision="fp32"))
        ready.write_text(label_set)
    return ready.read_text()


def train(base: str, folder: str, run: str, precision: str, lr: str, seed: str) -> None:
    """Train one policy: the part of a child process."""
    from models.monitoring import preflight
    from models.ppo import train as ppo
    from models.steps import STEPS
    from models.training.job import Job

    store, label_set = LocalStore(Path(folder) / "store"), (Path(folder) / "ready").read_text()
    preflight.SAMPLES = SAMPLES
    setattr(ppo, "progress", lambda steps, *rest: iter([*steps[:FIRST], *steps[-LAST:]]))  # noqa: B010
    with nullcontext() if precision == "fp32" else HalfByFp32():  # type: ignore[no-untyped-call]
        STEPS["policy"](Job(store.uri, settings(base, float(lr)), run, label_set, int(seed), precision=precision))


def measured(base: str, folder: Path, precision: str, lr: float, seed: int) -> dict[str, Any]:
    """Run a training in a child process; return its pulls and some of its metrics."""
    store, name = LocalStore(folder / "store"), f"run-{precision}-{lr:g}-{seed}"
    ours, theirs = (f"{run_prefix('sentiment', run)}/reward/manifest.json" for run in (name, "run-sound"))
    store.put_new(ours, store.read(theirs))
    command = [sys.executable, "-m", "bench.checks.sound_runs", base, str(folder), "--train", name, precision]
    environment = {**os.environ, "ANDON_STATE": str(folder / "state")}
    done = subprocess.run([*command, str(lr), str(seed)], env=environment, capture_output=True, text=True)
    pulled = [made.pull.reason for made in cord.pulls(store) if made.pull.scope == f"run:{name}"]
    policy = read_manifest(store, f"{run_prefix('sentiment', name)}/policy")
    if policy is None:
        return {"pulls": pulled or [f"ended: {done.stderr.strip().splitlines()[-1][:120]}"]}
    history = json.loads(policy.path("history.json").read_text())
    early, late = history[:FIRST], history[FIRST:]
    return {
        "pulls": pulled,
        "ratio_error": max(metrics["ratio_error"] for metrics in history),
        "rounding": fmean(metrics["rounding"] for metrics in history),
        "approx_kl": [round(1e6 * metrics["approx_kl"], 1) for metrics in history],  # a token, in millionths of a nat
        "followed": [round(metrics["followed"], 2) for metrics in early if "followed" in metrics],
        "followed at the end": [round(metrics["followed"], 2) for metrics in late if "followed" in metrics],
        "kl": [round(metrics["kl"], 2) for metrics in history],
        "score": [round(metrics["score"], 2) for metrics in history],
    }


def main(base: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    prepare(base, folder)
    log = folder / "runs.json"
    done: dict[str, dict[str, Any]] = json.loads(log.read_text()) if log.exists() else {}
    for seed, lr, precision in product(SEEDS, RATES, PRECISIONS):
        if (name := f"{precision}, lr {lr:g}, seed {seed}") not in done:
            done[name] = measured(base, folder, precision, lr, seed)
            log.write_text(json.dumps(done, indent=1))
            print(f"# {name}: {done[name]}", flush=True)
    print(f"pulls: {sum(bool(run['pulls']) for run in done.values())} in {len(done)} runs")


if __name__ == "__main__":
    arguments = parser("bench.checks.sound_runs", __doc__)
    arguments.add_argument("base", help="a checkpoint folder, such as that of base/smollm2.py")
    arguments.add_argument("folder", type=Path, help="where finished work is kept")
    arguments.add_argument("--train", nargs=4, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.train:
        train(given.base, str(given.folder), *given.train)
    else:
        main(given.base, given.folder)
