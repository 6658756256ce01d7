"""Simulated labelers: they read a vendor's question file and write an answer file, like a real vendor.

The pipeline cannot tell that they are simulated. Each labeler has random errors on texts, a preference for some
positions, and sometimes answers at random. The seed decides the pool and its answers.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from data.batches.schema import write_table
from data.campaign.settings import Labelers
from data.simulation.scorers import scorer

ANSWERS = pa.schema(
    [
        ("question_id", pa.string()),
        ("content_sha256", pa.string()),
        ("labeler_id", pa.string()),
        ("best", pa.int64()),
        ("seconds", pa.float64()),
    ]
)
WORDS_A_SECOND = 4.0


class SimulatedAnswer(NamedTuple):
    """One answer of the pool."""

    labeler_id: str
    best: int
    seconds: float


def choose(pool: Labelers, occasion: str, query: str, options: Sequence[str]) -> SimulatedAnswer:
    """Let one labeler of the pool answer one question. The same occasion always gets the same answer.

    The noise is in units of 0.4, which is about the standard deviation of each scorer on texts of the base.
    """
    draw = random.Random(f"{pool.seed} {occasion}")
    number = draw.randrange(pool.count)
    of_labeler = random.Random(f"{pool.seed} labeler {number}")
    slots = [of_labeler.gauss(0, pool.slot_bias * 0.4) for _ in options]
    score = scorer(pool.prefers)
    # A perfect labeler has a little noise too, so that ties are broken at random and not by position.
    utilities = [
        score(query, text) + slot + draw.gauss(0, pool.noise * 0.4 + 1e-6)
        for text, slot in zip(options, slots, strict=True)
    ]
    best = max(range(len(options)), key=utilities.__getitem__)
    if draw.random() < pool.error_rate:
        best = draw.randrange(len(options))
    seconds = sum(len(text.split()) for text in options) / WORDS_A_SECOND * draw.lognormvariate(0, 0.3)
    return SimulatedAnswer(f"labeler-{pool.seed}-{number:03d}", best, round(seconds, 1))


def answers(pool: Labelers, questions: Path) -> Iterator[dict[str, object]]:
    """Answer every question of one vendor file once."""
    for part in pq.ParquetFile(questions).iter_batches(2_000):
        for row in part.to_pylist():
            options = [row[name] for name in sorted(row) if name.startswith("option_")]
            choice = choose(pool, row["content_sha256"], row["query"], options)
            yield {"question_id": row["question_id"], "content_sha256": row["content_sha256"], **choice._asdict()}


def write_answers(pool: Labelers, questions: Sequence[Path], path: Path) -> Path:
    """Write the pool's answers to some vendor files as one answer file, and return its path."""
    rows = [row for file in questions for row in answers(pool, file)]
    write_table(pa.Table.from_pylist(rows, schema=ANSWERS), path)
    return path
