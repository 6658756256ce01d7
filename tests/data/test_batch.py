"""Blinding: the vendor's file says nothing of who wrote a sample, and the key maps every answer back."""

import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.batches.schema import (
    QUESTION_ID,
    Question,
    Sample,
    blind,
    content_sha256,
    queries_asked,
    read_key,
    write_parts,
    write_table,
)
from data.batches.writer import write_batch

QUESTIONS = [
    Question(
        f"query-{n}",
        f"Query {n}.",
        [n],
        # The champion's samples come last, as they are drawn; texts carry no sign of it.
        tuple(Sample(f"text {n * 7919 % 1000} {i}", [i], "base" if i < 2 else "champion") for i in range(4)),
    )
    for n in range(1500)
]
SECRET = bytes(range(32))


def test_the_vendor_sees_exactly_the_contract(tmp_path: Path) -> None:
    vendor, _ = blind(QUESTIONS, "Which?", SECRET)
    ((name, path),) = write_parts(vendor, tmp_path)
    file = pq.ParquetFile(path)
    options = ["option_0", "option_1", "option_2", "option_3"]
    columns = ["question_id", "query", *options, "content_sha256", "instructions", "schema_version"]
    assert file.schema_arrow.names == columns
    assert file.metadata.metadata is None or not set(file.metadata.metadata) - {b"ARROW:schema"}
    assert name.startswith("questions-0001-") and name.endswith(".parquet")
    for row in pq.read_table(path).slice(0, 50).to_pylist():
        assert QUESTION_ID.fullmatch(row["question_id"])
        assert row["content_sha256"] == content_sha256("Which?", row["query"], [row[name] for name in options])


def test_the_key_maps_every_shown_option_back() -> None:
    vendor, key = blind(QUESTIONS, "Which?", SECRET)
    texts = {question.query_id: [sample.text for sample in question.samples] for question in QUESTIONS}
    for shown, private in zip(vendor.to_pylist(), key.to_pylist(), strict=True):
        assert shown["question_id"] == private["question_id"]
        for position, index in enumerate(private["shown"]):
            assert shown[f"option_{position}"] == texts[private["query_id"]][index]


def test_a_large_batch_is_cut_into_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.batches.schema.ROWS_PER_FILE", 600)
    vendor, _ = blind(QUESTIONS, "Which?", SECRET)
    parts = write_parts(vendor, tmp_path)
    assert [len(pq.read_table(path)) for _, path in parts] == [600, 600, 300]


def _accuracy(features: np.ndarray, target: np.ndarray) -> float:
    """Held-out accuracy of a ridge classifier: the simplest attacker that can combine all features."""
    half = len(features) // 2
    scaled = (features - features[:half].mean(0)) / (features[:half].std(0) + 1e-9)
    design = np.column_stack([scaled, np.ones(len(scaled))])
    weights = np.linalg.solve(
        design[:half].T @ design[:half] + np.eye(design.shape[1]), design[:half].T @ (2.0 * target[:half] - 1)
    )
    return float(((design[half:] @ weights > 0) == target[half:]).mean())


def _leaks(secret: bytes) -> tuple[float, float]:
    """Try to tell a champion's sample from position, row index, and the bytes of ids: (attack, attack that is told)."""
    vendor, key = blind(QUESTIONS, "Which?", secret)
    rows, target = [], []
    for index, (shown, private) in enumerate(zip(vendor.to_pylist(), key.to_pylist(), strict=True)):
        ids = [ord(c) for c in shown["question_id"][1:]] + [int(c, 16) for c in shown["content_sha256"][:16]]
        for position, sample in enumerate(private["shown"]):
            places = [float(position == p) for p in range(4)]
            crossed = [place * value for place in places for value in (index, *ids)]
            rows.append([*places, index, *ids, *crossed])
            target.append(private["samples"][sample]["policy"] == "champion")
    features, truth = np.array(rows, dtype=float), np.array(target)
    told = np.column_stack([features, truth])
    return _accuracy(features, truth), _accuracy(told, truth)


def test_position_ids_and_row_index_do_not_tell_the_policy() -> None:
    attack, told = _leaks(SECRET)
    # 3,000 held-out samples: four standard errors around chance.
    assert abs(attack - 0.5) < 4 * 0.5 / 3000**0.5
    assert told > 0.95, "an attacker that cannot use what it is told proves nothing"


def test_every_position_shows_every_sample_equally_often() -> None:
    _, key = blind(QUESTIONS, "Which?", SECRET)
    counts = np.zeros((4, 4))
    for row in key.to_pylist():
        for position, sample in enumerate(row["shown"]):
            counts[position, sample] += 1
    expected = len(QUESTIONS) / 4
    assert ((counts - expected) ** 2 / expected).sum() < 27.9  # chi-square, 9 degrees of freedom, p = 0.001


def test_rows_are_not_in_the_order_of_the_queries() -> None:
    _, key = blind(QUESTIONS, "Which?", SECRET)
    numbers = [int(row["query_id"].split("-")[1]) for row in key.to_pylist()]
    assert abs(np.corrcoef(numbers, np.arange(len(numbers)))[0, 1]) < 0.1


def test_other_secrets_give_other_ids_and_orders() -> None:
    one, _ = blind(QUESTIONS[:50], "Which?", SECRET)
    two, _ = blind(QUESTIONS[:50], "Which?", SECRET[::-1])
    assert not set(one["question_id"].to_pylist()) & set(two["question_id"].to_pylist())


def test_the_key_survives_its_file(tmp_path: Path) -> None:
    _, key = blind(QUESTIONS[:20], "Which?", SECRET)
    write_table(key, tmp_path / "key.parquet")
    assert list(read_key(tmp_path / "key.parquet")) == key.to_pylist()


def test_a_batch_that_is_written_as_it_comes_is_the_one_that_was_blinded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, most in (("ROWS_A_BUCKET", 70), ("AT_ONCE", 33), ("ROWS_PER_FILE", 600)):
        monkeypatch.setattr(f"data.batches.writer.{name}", most)
    vendor, key = blind(QUESTIONS, "Which?", SECRET)
    numbered = sorted(enumerate(QUESTIONS), key=lambda pair: pair[1].query)  # in whatever order they come
    files = write_batch(iter(numbered), len(numbered), "Which?", SECRET, tmp_path)
    *parts, last = files
    assert last == "key/samples.parquet" and [name[:14] for name in parts] == [f"questions-000{n}" for n in (1, 2, 3)]
    assert [pq.read_metadata(files[name]).num_rows for name in parts] == [600, 600, 300]
    groups = [pq.read_metadata(file).row_group(n).num_rows for file in files.values() for n in range(_groups(file))]
    assert sum(groups) == 2 * 1500 and max(groups) < 2 * 70, "no more than a bucket is in memory, also for the files"
    assert pa.concat_tables([pq.read_table(files[name]) for name in parts]).equals(vendor)
    assert pq.read_table(files[last]).cast(key.schema).equals(key)
    assert not list(tmp_path.glob("bucket-*"))
    assert queries_asked(tmp_path / "key.parquet") == {question.query_id for question in QUESTIONS}


def _groups(file: Path | bytes) -> int:
    groups: int = pq.read_metadata(file).num_row_groups
    return groups


def test_no_more_questions_are_in_memory_than_are_written_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data.batches.writer.AT_ONCE", 50)
    gone, most = list[int](), 0

    def drawn() -> Iterator[tuple[int, Question]]:
        nonlocal most
        for number in range(1000):
            question = replace(QUESTIONS[number])
            weakref.finalize(question, gone.append, number)
            most = max(most, number + 1 - len(gone))
            yield number, question

    write_batch(drawn(), 1000, "Which?", SECRET, tmp_path)
    assert most <= 2 * 50 + 2


def test_a_batch_of_fewer_questions_than_were_said_to_come_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got 9 questions, expected 10"):
        write_batch(enumerate(QUESTIONS[:9]), 10, "Which?", SECRET, tmp_path)
    assert not (tmp_path / "key.parquet").exists()
