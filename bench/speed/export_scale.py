"""What writing a large batch costs: `python -m bench.speed.export_scale 10000 100000 1000000`.

So many questions of given samples go through the path of `andon export`: blinded, sorted by their ids, written as the
vendor's Parquet files with their key, published into a store, and then written in every format for questions from
there. The batch is composed like `--preset vendor`: copies, repeats and gold are among the questions. A query has about
300 characters and 64 tokens, a sample 120 and 24. Sampling is no part of it. Each size runs in a process of its own;
prints microseconds of CPU a question, and the most memory the process held (`mb`; `idle`: before it wrote anything).
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from bench.arguments import parser
from data.batches.composition import plan_composition
from data.batches.index import read_batch
from data.batches.schema import Question, Sample
from data.batches.writer import write_batch
from data.campaign.settings import Batch
from data.exchange.publishing import in_format
from data.exchange.registry import question_writers
from data.store import LocalStore
from data.store.manifest import publish

WORDS = ("the", "ship", "went", "down", "to", "sea", "and", "nobody", "saw", "so", "great", "a", "light", "before")
COPIES = 1.37  # questions of the batch for each that is drawn


def drawn(count: int) -> Iterator[Question]:
    """Yield questions as sampling would, without its cost: texts and token ids from a small stock."""
    draw = random.Random(0)
    queries = [" ".join(draw.choices(WORDS, k=75))[:300] for _ in range(997)]
    texts = [" ".join(draw.choices(WORDS, k=30))[:120] for _ in range(991)]
    tokens = [[draw.randrange(50_257) for _ in range(64)] for _ in range(97)]
    for n in range(count):
        samples = tuple(
            Sample(f"{n} {i} {texts[(n * 4 + i) % 991]}", tokens[(n + i) % 97][:24], "base") for i in range(4)
        )
        yield Question(f"q{n}", f"{n} {queries[n % 997]}", tokens[n % 97], samples, selection_reason="random")


def known() -> list[Question]:
    return [
        Question(f"gold-{n}", f"Known {n}", [], tuple(Sample(f"{n} {i}", [], "gold") for i in range(4)), "gold", 0)
        for n in range(40)
    ]


def write(rows: int, folder: Path) -> dict[str, float]:
    """Write a batch of about so many questions in every format; return microseconds of CPU a question, by step."""
    settings = Batch(
        questions=round(rows / COPIES), probe_share=0.5, overlap_share=0.15, gold_share=0.05, repeat_share=0.02
    )
    plan = plan_composition(settings.questions, known(), settings, 0)
    store = LocalStore(folder / "store")
    spent: dict[str, float] = {}

    def step(name: str, work: Callable[[], object]) -> None:
        began = time.process_time()
        work()
        spent[name] = (time.process_time() - began) / plan.count * 1e6

    def batch() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            asked = plan.numbered(drawn(settings.questions))
            files = write_batch(asked, plan.count, "Which is best?", os.urandom(32), Path(scratch))
            facts = {"batch": "b1", "round": 1, "questions": plan.count}
            publish(store, "campaigns/c/batches/b1", "batch", files, inputs={}, facts=facts, began=datetime.now(UTC))

    step("batch and key", batch)
    published = read_batch(store, "c", "b1")
    assert published is not None
    for name in question_writers():
        step(name, lambda name=name: in_format(published, name))  # type: ignore[misc]
    return {"questions": plan.count} | spent | {"all": sum(spent.values())}


def main(sizes: list[int]) -> None:
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "bench.speed.export_scale", str(size), "--into", folder]
            done = subprocess.run(command, capture_output=True, text=True)
            print(size, done.stdout.strip() or done.stderr[-400:], flush=True)


def measure(size: int, folder: Path) -> None:
    """The part of a child process: write a batch, and print what it cost."""
    before = _peak_mb()
    spent = write(size, folder)
    print(json.dumps({name: round(value, 1) for name, value in spent.items()} | {"mb": _peak_mb(), "idle": before}))


def _peak_mb() -> int:
    """Return the most memory that this process ever held, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)


if __name__ == "__main__":
    arguments = parser("bench.speed.export_scale", __doc__)
    arguments.add_argument("sizes", type=int, nargs="+", metavar="QUESTIONS", help="questions in each batch")
    arguments.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.into:
        measure(given.sizes[0], given.into)
    else:
        main(given.sizes)
