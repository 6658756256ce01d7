"""Labels: delivered, judged and committed once each, and frozen by content."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.batches.schema import Question, Sample, blind, write_parts, write_table
from data.campaign.settings import Labelers
from data.errors import Refused
from data.ingest.pipeline import IngestResult, ingest
from data.labels.decisions import override
from data.labels.label_sets import freeze, read_label_set
from data.labels.table import deliveries
from data.rounds.status import last_asked, round_to_export, round_to_finish, rounds
from data.simulation.labelers import write_answers
from data.store import LocalStore
from data.store.manifest import publish

POOL = Labelers(prefers="positive", count=20, noise=0.3, slot_bias=0.1, error_rate=0.03, seed=1)


def questions(round_number: int, n: int = 60) -> list[Question]:
    words = ["happy", "terrible", "table", "love", "hate", "window", "joy", "misery"]
    texts = [[f"a {words[(q + i) % 8]} {words[(q * 3 + i) % 8]} day {i}" for i in range(4)] for q in range(n)]
    return [
        Question(f"r{round_number}q{q}", f"Query {q}.", [1], tuple(Sample(t, [2], "p") for t in four))
        for q, four in enumerate(texts)
    ]


def send(store: LocalStore, folder: Path, round_number: int, campaign: str = "sentiment") -> list[Path]:
    """Publish a batch as the export does, and return the vendor's files."""
    folder.mkdir()
    vendor, key = blind(questions(round_number), "Which?", f"secret {round_number}".encode())
    parts = write_parts(vendor, folder)
    write_table(key, folder / "key.parquet")
    files: dict[str, Path | bytes] = {**dict(parts), "key/samples.parquet": folder / "key.parquet"}
    facts = {"batch": f"b{round_number}", "round": round_number, "questions": 60, "vocabulary": "v"}
    prefix = f"campaigns/{campaign}/batches/b{round_number}"
    publish(store, prefix, "batch", files, inputs={}, facts=facts, began=datetime.now(UTC))
    return [path for _, path in parts]


def take_in(store: LocalStore, campaign: str, delivery: Path) -> IngestResult:
    with tempfile.TemporaryDirectory() as scratch:
        return ingest(store, campaign, delivery, Path(scratch))._replace(label_set=freeze(store, campaign))


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def answers(store: LocalStore, tmp_path: Path) -> Path:
    return write_answers(POOL, send(store, tmp_path / "b1", 1), tmp_path / "answers.parquet")


@pytest.mark.slow
def test_a_delivery_counts_once_however_often_it_comes(store: LocalStore, answers: Path, tmp_path: Path) -> None:
    first = take_in(store, "sentiment", answers)
    assert (first.accepted, first.quarantined, first.duplicates) == (60, 0, 0)
    again = take_in(store, "sentiment", answers)
    assert (again.accepted, again.duplicates, again.label_set) == (0, 60, first.label_set)
    table = pq.read_table(answers)
    pq.write_table(table.take(list(range(59, -1, -1))), tmp_path / "resorted.parquet", compression="gzip")
    resorted = take_in(store, "sentiment", tmp_path / "resorted.parquet")
    assert (resorted.accepted, resorted.duplicates, resorted.label_set) == (0, 60, first.label_set)


@pytest.mark.slow
def test_the_way_a_delivery_is_cut_changes_nothing(tmp_path: Path) -> None:
    label_sets = []
    for cuts in ([0, 60], [0, 10, 35, 60]):
        folder = tmp_path / f"cut{len(cuts)}"
        folder.mkdir()
        store = LocalStore(folder / "store")
        table = pq.read_table(write_answers(POOL, send(store, folder / "b1", 1), folder / "all.parquet"))
        for start, end in zip(cuts, cuts[1:], strict=False):
            pq.write_table(table.slice(start, end - start), folder / "part.parquet")
            outcome = take_in(store, "sentiment", folder / "part.parquet")
        label_sets.append(outcome.label_set)
    assert label_sets[0] == label_sets[1]


def test_labels_name_the_sample_and_not_the_place(store: LocalStore, answers: Path, tmp_path: Path) -> None:
    outcome = take_in(store, "sentiment", answers)
    assert outcome.label_set is not None
    _, labels = read_label_set(store, "sentiment", outcome.label_set)
    shown = {row["question_id"]: row for row in pq.read_table(tmp_path / "b1" / "part-1.parquet").to_pylist()}
    _, key = blind(questions(1), "Which?", b"secret 1")
    texts = {row["question_id"]: [sample["text"] for sample in row["samples"]] for row in key.to_pylist()}
    chosen = {row["question_id"]: row["best"] for row in pq.read_table(answers).to_pylist()}
    assert len(labels) == 60
    for label in labels:
        qid = label.question_id
        assert label.best_sample is not None
        assert texts[qid][label.best_sample] == shown[qid][f"option_{chosen[qid]}"]


def test_a_refused_file_leaves_no_trace_in_the_labels(store: LocalStore, answers: Path, tmp_path: Path) -> None:
    table = pq.read_table(answers)
    pq.write_table(table.set_column(3, "best", pa.array([7] * 60)), tmp_path / "bad.parquet")
    with pytest.raises(Refused, match="bad.parquet: 60 of 60 .* row 1: best is 7"):
        take_in(store, "sentiment", tmp_path / "bad.parquet")
    assert deliveries(store, "sentiment") == [] and freeze(store, "sentiment") is None
    assert take_in(store, "sentiment", answers).accepted == 60


def test_answers_of_another_batch_are_refused_in_one_line(store: LocalStore, answers: Path, tmp_path: Path) -> None:
    other = LocalStore(tmp_path / "other")
    foreign = write_answers(POOL, send(other, tmp_path / "b9", 9), tmp_path / "foreign.parquet")
    with pytest.raises(Refused, match="answers no question of campaign sentiment") as caught:
        take_in(store, "sentiment", foreign)
    assert "\n" not in str(caught.value)
    with pytest.raises(Refused, match="no batch"):
        take_in(store, "descriptiveness", answers)
    with pytest.raises(Refused, match="There is no file"):
        take_in(store, "sentiment", tmp_path / "nowhere.csv")


@pytest.mark.slow
def test_a_label_set_of_earlier_rounds_stays_what_it_was(store: LocalStore, answers: Path, tmp_path: Path) -> None:
    first = take_in(store, "sentiment", answers).label_set
    later = write_answers(POOL, send(store, tmp_path / "b2", 2), tmp_path / "later.parquet")
    second = take_in(store, "sentiment", later).label_set
    assert second != first
    assert freeze(store, "sentiment", through_round=1) == first
    assert freeze(store, "sentiment", through_round=2) == freeze(store, "sentiment") == second
    assert second is not None
    document, labels = read_label_set(store, "sentiment", second)
    assert (document["labels"], document["batches"], len(labels)) == (120, ["b1", "b2"], 120)


def test_a_changed_label_file_is_found(store: LocalStore, answers: Path, tmp_path: Path) -> None:
    outcome = take_in(store, "sentiment", answers)
    path = store.root / deliveries(store, "sentiment")[0]["accepted_key"]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert outcome.label_set is not None
    with pytest.raises(Refused, match="damaged"):
        read_label_set(store, "sentiment", outcome.label_set)


def test_where_a_campaign_stands_is_read_off_the_store(store: LocalStore, answers: Path, tmp_path: Path) -> None:
    (waiting,) = rounds(store, "sentiment")
    assert (waiting.number, waiting.labels, waiting.waits_for) == (1, 0, "labels")
    assert (round_to_export(store, "sentiment"), round_to_finish(store, "sentiment")) == (1, 1)
    take_in(store, "sentiment", answers)
    (labeled,) = rounds(store, "sentiment")
    assert (labeled.labels, labeled.waits_for) == (60, "a retrain")
    assert last_asked(store, "sentiment", 1) == labeled.batches[0] and last_asked(store, "sentiment", 2) is None
    override(store, "sentiment", labeled.batches[0], "reject", "a test", None)
    assert last_asked(store, "sentiment", 1) is None
    override(store, "sentiment", labeled.batches[0], "accept", "a test", None)
    assert (round_to_export(store, "sentiment"), round_to_finish(store, "sentiment")) == (2, 1)
