"""Simulated labelers: they prefer what they say, err as they are told, and repeat themselves for a seed."""

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data.batch import Question, Sample, blind, write_table
from data.campaign import Labelers
from data.opinions import descriptiveness, opinion, sentiment
from data.simulated import choose, write_answers

GOOD, BAD = "She was delighted and full of joy.", "He was miserable and hated everyone."
VIVID, ABSTRACT = "A red stone lay on the wet green grass.", "The reason of such a principle is a doubtful matter."


def pool(**changes: object) -> Labelers:
    plain = {"prefers": "positive", "count": 10, "noise": 0.0, "slot_bias": 0.0, "error_rate": 0.0, "seed": 1}
    return Labelers.model_validate(plain | changes)


def share(labelers: Labelers, better: int, options: list[str], n: int = 400) -> float:
    return sum(choose(labelers, f"occasion {i}", options).best == better for i in range(n)) / n


@pytest.mark.parametrize(
    ("prefers", "liked", "other"),
    [("positive", GOOD, BAD), ("negative", BAD, GOOD), ("descriptive", VIVID, ABSTRACT), ("plain", ABSTRACT, VIVID)],
)
def test_labelers_prefer_what_they_say(prefers: str, liked: str, other: str) -> None:
    assert opinion(prefers)(liked) > opinion(prefers)(other)
    assert share(pool(prefers=prefers), 1, [other, liked]) == 1
    assert share(pool(prefers=prefers), 0, [liked, other]) == 1


def test_opinions_are_about_zero_where_there_is_nothing_to_say() -> None:
    assert sentiment("The table stood in the room.") == 0
    assert descriptiveness("") == 0 == descriptiveness("of the and")


def test_noise_errors_and_slot_bias_each_cost_agreement() -> None:
    options = [BAD, GOOD, BAD, BAD]
    assert share(pool(), 1, options) == 1
    assert 0.5 < share(pool(noise=3.0), 1, options) < 0.95
    assert abs(share(pool(error_rate=1.0), 1, options) - 0.25) < 0.08
    biased = Counter(choose(pool(slot_bias=5.0, count=1), f"{i}", ["a", "b", "c", "d"]).best for i in range(200))
    assert biased.most_common(1)[0][1] > 190


def test_ties_fall_at_random() -> None:
    counts = Counter(choose(pool(), f"{i}", ["same"] * 4).best for i in range(1000))
    assert all(190 < counts[position] < 310 for position in range(4))


def test_answers_repeat_for_a_seed_and_differ_between_seeds(tmp_path: Path) -> None:
    samples = tuple(Sample(f"{word} thing", [1], "p") for word in ("good", "bad", "red", "nice"))
    vendor, _ = blind([Question(f"q{n}", f"{n}", [1], samples) for n in range(80)], "Which?", b"s")
    write_table(vendor, tmp_path / "questions.parquet")
    noisy = {"noise": 2.0}
    made = [
        pq.read_table(
            write_answers(pool(**noisy, seed=seed), [tmp_path / "questions.parquet"], tmp_path / f"{i}.parquet")
        )
        for i, seed in enumerate((1, 1, 2))
    ]
    assert made[0].equals(made[1])
    assert made[0]["best"].to_pylist() != made[2]["best"].to_pylist()
    assert len(set(made[0]["labeler_id"].to_pylist())) > 5
