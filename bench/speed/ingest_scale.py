"""What taking in a large delivery costs: `python -m bench.speed.ingest_scale 10000 100000 1000000`.

So many answers to a fifth as many questions, as one Parquet file, through ingest into a real store; each size in a
process of its own, five times. CPU seconds (the median) are those of the process and of the child in which it reads the
file, without imports. "a further row" is what each row beyond the size before costs: a small file pays for the child's
start and for looking at 2,000 texts. Memory is the process's own peak, the largest of five, and the most that both
processes held at one moment, looked at every hundredth of a second, pages that they share counted twice.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pyarrow as pa

from bench.arguments import parser
from bench.meter import Cost, cost_of, report
from data.batches.schema import Question, Sample, blind, write_parts, write_table
from data.ingest.pipeline import ingest
from data.store import LocalStore, Store
from data.store.manifest import publish

CAMPAIGN = "sentiment"
ANSWERS_A_QUESTION = 5
SKILL = 0.5  # how often a labeler sees what is best
FEWEST = 10
TIMES = 5
WORDS = ("the", "ship", "went", "down", "to", "sea", "and", "nobody", "saw", "so", "great", "a", "light", "before")


def deliver(rows: int, folder: Path, store: Store) -> Path:
    """Publish a batch, and write an answer file of so many rows to it; five answers a question."""
    draw = random.Random(0)
    texts = [" ".join(draw.choices(WORDS, k=20)) for _ in range(1000)]
    questions = [
        Question(
            f"q{n}",
            f"{n} {texts[n % 997]}",
            [1] * 20,
            tuple(Sample(f"{n} {i} {texts[(n * i) % 991]}", [1] * 20, "p") for i in range(4)),
        )
        for n in range(rows // ANSWERS_A_QUESTION)
    ]
    vendor, key = blind(questions, "Which?", b"secret")
    write_table(key, folder / "key.parquet")
    files: dict[str, Path | bytes] = dict(write_parts(vendor, folder))
    files["key/samples.parquet"] = folder / "key.parquet"
    facts = {"batch": "b1", "round": 1, "questions": len(key), "vocabulary": "none"}
    publish(
        store,
        f"campaigns/{CAMPAIGN}/batches/b1",
        "batch",
        files,
        inputs={},
        facts=facts,
        began=datetime.now(UTC),
    )
    asked = vendor.select(["question_id", "content_sha256"])
    shown = dict(zip(key["question_id"].to_pylist(), key["shown"].to_pylist(), strict=True))
    right = [shown[name].index(ord(name[-1]) % 4) for name in asked["question_id"].to_pylist()]
    parts = []
    for number in range(ANSWERS_A_QUESTION):
        who = [f"labeler-{draw.randrange(40) + 40 * number}" for _ in range(len(asked))]
        best = [place if draw.random() < SKILL else draw.randrange(4) for place in right]
        parts.append(asked.append_column("labeler_id", [who]).append_column("best", [best]))
    write_table(pa.concat_tables(parts), folder / "answers.parquet")
    return folder / "answers.parquet"


def measured(rows: int) -> Cost:
    """Take in so many answers in a process of its own, and return what it cost; the median of several times by CPU."""
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([sys.executable, "-m", "bench.speed.ingest_scale", str(rows), "--deliver", scratch], check=True)
        costs = sorted((_taken(rows, scratch, turn) for turn in range(TIMES)), key=lambda cost: cost["cpu"])
        commands = [_commanded(scratch, turn) for turn in range(TIMES)]
    seconds, peaks = zip(*commands, strict=True)
    command = {"command_cpu": statistics.median(seconds), "command_gb": max(peaks)}
    return costs[TIMES // 2] | {"most_gb": max(cost["peak_gb"] for cost in costs)} | command


def _commanded(scratch: str, turn: int) -> tuple[float, float]:
    """Run `andon ingest` on a new store, and return its CPU seconds and its peak in GB, with its child's."""
    folder = Path(scratch) / f"command-{turn}"
    _with_the_batch(folder, Path(scratch))
    command = [sys.executable, "-m", "flows.cli", "ingest", CAMPAIGN, f"{scratch}/answers.parquet", "--store"]
    child = subprocess.Popen([*command, str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, f"andon ingest ended with {os.waitstatus_to_exitcode(status)}"
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e9


def _with_the_batch(store: Path, made: Path) -> None:
    (store / f"campaigns/{CAMPAIGN}").mkdir(parents=True)
    (store / f"campaigns/{CAMPAIGN}/batches").symlink_to(made / f"store/campaigns/{CAMPAIGN}/batches")


def _taken(rows: int, scratch: str, turn: int) -> Cost:
    command = [sys.executable, "-m", "bench.speed.ingest_scale", str(rows), "--take-in", scratch, str(turn)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        together, watched = 0, psutil.Process(process.pid)
        while process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                family = [watched, *watched.children()]
                together = max(together, sum(member.memory_info().rss for member in family))
            time.sleep(0.01)
        assert process.stdout is not None
        cost: Cost = json.loads(process.stdout.read().splitlines()[-1])
    return cost | {"together_gb": together / 1e9}


def take_in(rows: int, made: Path, turn: str) -> None:
    """The part of a child process: ingest an answer file into a new store, and print what it cost."""
    folder = made / turn
    (folder / "scratch").mkdir(parents=True)
    _with_the_batch(folder, made)
    answers = made / "answers.parquet"
    report(cost_of(rows, lambda: ingest(LocalStore(folder), CAMPAIGN, answers, folder / "scratch")))


def main(sizes: list[int]) -> None:
    print("rows       CPU s  us a row  us a further row  peak MB  with child MB  andon ingest: CPU s  peak MB")
    before = measured(FEWEST)
    for size in sizes:
        cost = measured(size)
        further = (cost["cpu"] - before["cpu"]) / (size - before["amount"])
        print(
            f"{size:<9} {cost['cpu']:>6.2f} {cost['cpu'] / size * 1e6:>9.1f} {further * 1e6:>17.1f} "
            f"{cost['most_gb'] * 1000:>8.0f} {cost['together_gb'] * 1000:>14.0f}"
            f" {cost['command_cpu']:>20.2f} {cost['command_gb'] * 1000:>8.0f}",
            flush=True,
        )
        before = cost


if __name__ == "__main__":
    arguments = parser("bench.speed.ingest_scale", __doc__)
    arguments.add_argument("sizes", type=int, nargs="+", metavar="ROWS", help="rows of each answer file")
    arguments.add_argument("--deliver", type=Path, help=argparse.SUPPRESS)
    arguments.add_argument("--take-in", nargs=2, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.deliver:
        deliver(given.sizes[0], given.deliver, LocalStore(given.deliver / "store"))
    elif given.take_in:
        take_in(given.sizes[0], Path(given.take_in[0]), given.take_in[1])
    else:
        main(given.sizes)
