"""What taking in a large delivery costs: `python -m bench.ingest_scale 10000 100000 1000000`.

So many answers to a fifth as many questions, as one Parquet file, through ingest into a real store; each size in a
process of its own. Prints CPU seconds, microseconds a row, and the most memory the process held.
"""

import random
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from bench.meter import cost_of, report
from data.batch import Question, Sample, blind, write_parts, write_table
from data.labels import ingest
from data.publication import publish
from data.store import LocalStore, Store

ANSWERS_A_QUESTION = 5
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
        "campaigns/c/batches/b1",
        "batch",
        files,
        inputs={},
        facts=facts,
        began=datetime.now(UTC),
    )
    asked = vendor.select(["question_id", "content_sha256"])
    parts = []
    for number in range(ANSWERS_A_QUESTION):
        who = [f"labeler-{draw.randrange(40) + 40 * number}" for _ in range(len(asked))]
        best = [draw.randrange(4) for _ in range(len(asked))]
        parts.append(asked.append_column("labeler_id", [who]).append_column("best", [best]))
    write_table(pa.concat_tables(parts), folder / "answers.parquet")
    return folder / "answers.parquet"


def main() -> None:
    if sys.argv[1] == "take":
        folder = Path(sys.argv[3])
        (folder / "scratch").mkdir()
        store = LocalStore(folder / "store")
        report(cost_of(int(sys.argv[2]), lambda: ingest(store, "c", folder / "answers.parquet", folder / "scratch")))
        return
    for size in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as scratch:
            deliver(int(size), Path(scratch), LocalStore(Path(scratch) / "store"))
            done = subprocess.run(
                [sys.executable, "-m", "bench.ingest_scale", "take", size, scratch], capture_output=True, text=True
            )
            print(size, done.stdout.strip() or done.stderr[-400:], flush=True)


if __name__ == "__main__":
    main()
