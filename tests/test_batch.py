"""Blinding: the vendor's file says nothing of who wrote a sample, and the key maps every answer back."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from data.batch import QUESTION_ID, Question, Sample, blind, content_sha256, read_key, write_parts, write_table

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
    monkeypatch.setattr("data.batch.ROWS_PER_FILE", 600)
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
