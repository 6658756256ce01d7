"""One published batch in a store and a vendor that answers it: what the tests of labels begin with."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from data.batches.composition import compose
from data.batches.schema import blind, write_parts, write_table
from data.campaign.settings import Batch, Quality
from data.ingest.pipeline import IngestResult, ingest
from data.simulation.faulty_vendor import answer, chooser, make_questions
from data.store import LocalStore
from data.store.manifest import publish

SHARES = Batch(questions=800, probe_share=0.5, overlap_share=0.3, gold_share=0.2)
Rows = list[dict[str, object]]


def publish_batch(
    store: LocalStore,
    campaign: str,
    batch: str,
    vendor: pa.Table,
    key: pa.Table,
    more: dict[str, object] | None = None,
    began: datetime | None = None,
) -> None:
    """Publish what blind() made of questions as a batch, with more facts about it where a test needs them."""
    with tempfile.TemporaryDirectory() as scratch:
        write_table(key, Path(scratch) / "key.parquet")
        files: dict[str, Path | bytes] = dict(write_parts(vendor, Path(scratch)))
        files["key/samples.parquet"] = Path(scratch) / "key.parquet"
        facts = {"batch": batch, "round": int(batch[1:]), "questions": len(key), "vocabulary": "none"} | (more or {})
        prefix = f"campaigns/{campaign}/batches/{batch}"
        publish(store, prefix, "batch", files, inputs={}, facts=facts, began=began or datetime.now(UTC))


class Round:
    """One published batch in a store, and a vendor that answers it."""

    def __init__(self, folder: Path, campaign: str = "c", more: dict[str, object] | None = None) -> None:
        self.folder, self.store, self.campaign = folder, LocalStore(folder / "store"), campaign
        questions, known, self.utilities = make_questions(800, 5, gold=40)
        self.vendor, key = blind(compose(questions, known, SHARES, 0), "Which?", b"secret")
        publish_batch(self.store, campaign, "b1", self.vendor, key, more)
        self.key = key.to_pylist()

    def answers(self, fault: str = "clean") -> Rows:
        return answer(self.key, chooser(self.utilities, 1), fault, 1)

    def deliver(self, rows: Rows, despite: str | None = None) -> IngestResult:
        write_table(pa.Table.from_pylist(rows), self.folder / "answers.parquet")
        with tempfile.TemporaryDirectory() as scratch:
            return ingest(
                self.store, self.campaign, self.folder / "answers.parquet", Path(scratch), Quality(), despite=despite
            )
