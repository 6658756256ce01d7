"""One published batch in a store and a vendor that answers it: what the tests of labels begin with."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from data.batch import blind, write_parts, write_table
from data.campaign import Batch, Quality
from data.composition import composed
from data.faults import answer, chooser, invent
from data.labels import Ingested, ingest
from data.publication import publish
from data.store import LocalStore

SHARES = Batch(questions=800, probe_share=0.5, overlap_share=0.3, gold_share=0.2)
Rows = list[dict[str, object]]


class Round:
    """One published batch in a store, and a vendor that answers it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, LocalStore(folder / "store")
        questions, known, self.worths = invent(800, 5, gold=40)
        vendor, key = blind(composed(questions, known, SHARES, 0), "Which?", b"secret")
        write_table(key, folder / "key.parquet")
        files: dict[str, Path | bytes] = dict(write_parts(vendor, folder))
        files["key/samples.parquet"] = folder / "key.parquet"
        facts = {"batch": "b1", "round": 1, "questions": len(key), "vocabulary": "none"}
        publish(self.store, "campaigns/c/batches/b1", "batch", files, inputs={}, facts=facts, began=datetime.now(UTC))
        self.key = key.to_pylist()

    def answers(self, fault: str = "clean") -> Rows:
        return answer(self.key, chooser(self.worths, 1), fault, 1)

    def deliver(self, rows: Rows, despite: str | None = None) -> Ingested:
        write_table(pa.Table.from_pylist(rows), self.folder / "answers.parquet")
        with tempfile.TemporaryDirectory() as scratch:
            return ingest(self.store, "c", self.folder / "answers.parquet", Path(scratch), Quality(), despite=despite)
