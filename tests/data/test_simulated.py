"""Simulated labelers: they prefer what they say, err as they are told, and repeat themselves for a seed."""

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data.batches.schema import Question, Sample, blind, write_table
from data.campaign import load_campaign
from data.campaign.queries import load_queries
from data.campaign.settings import Labelers
from data.measures.words import lead
from data.simulation.labelers import choose, write_answers
from data.simulation.scorers import descriptiveness, faithfulness, scorer, sentiment

GOOD, BAD = "She was delighted and full of joy.", "He was miserable and hated everyone."
VIVID, ABSTRACT = "A red stone lay on the wet green grass.", "The reason of such a principle is a doubtful matter."

QUERY = "He came in from the garden."
SPEECH = (
    "Mr Speaker, Members of Congress: We built two hundred miles of railroad in Ohio. The harvest was abundant. "
    "Our treaty with Mexico was signed in May."
)


def pool(**changes: object) -> Labelers:
    plain = {"prefers": "positive", "count": 10, "noise": 0.0, "slot_bias": 0.0, "error_rate": 0.0, "seed": 1}
    return Labelers.model_validate(plain | changes)


def share(labelers: Labelers, better: int, options: list[str], n: int = 400, query: str = QUERY) -> float:
    return sum(choose(labelers, f"occasion {i}", query, options).best == better for i in range(n)) / n


@pytest.mark.parametrize(
    ("prefers", "liked", "other"),
    [("positive", GOOD, BAD), ("negative", BAD, GOOD), ("descriptive", VIVID, ABSTRACT), ("plain", ABSTRACT, VIVID)],
)
def test_labelers_prefer_what_they_say(prefers: str, liked: str, other: str) -> None:
    assert scorer(prefers)(QUERY, liked) > scorer(prefers)(QUERY, other)
    assert share(pool(prefers=prefers), 1, [other, liked]) == 1
    assert share(pool(prefers=prefers), 0, [liked, other]) == 1


def test_opinions_are_about_zero_where_there_is_nothing_to_say() -> None:
    assert sentiment("The table stood in the room.") == 0
    assert descriptiveness("") == 0 == descriptiveness("of the and")


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("The harvest was abundant.", "The harvest was ruined."),  # truth
        ("The harvest was abundant.", "The harvest was abundant and the king was pleased with his palace."),
        ("The harvest was abundant, and a treaty with Mexico was signed.", "The harvest was abundant."),  # coverage
        ("The treaty with Mexico was signed.", "Mexico signed harvest railroad."),  # phrases, not words alone
        ("The harvest was abundant.", "Mr Speaker, Members of Congress."),  # an address says nothing
        ("The harvest.", "And so it was with them all."),
    ],
)
def test_faithful_labelers_read_the_source(better: str, worse: str) -> None:
    assert faithfulness(SPEECH, better) > faithfulness(SPEECH, worse)
    assert share(pool(prefers="faithful"), 1, [worse, better], query=SPEECH) == 1


def test_an_address_repeated_is_neither_coverage_nor_invention() -> None:
    assert faithfulness(SPEECH, "Members of Congress: the harvest was abundant.") == pytest.approx(
        faithfulness(SPEECH, "The harvest was abundant."), rel=0.2
    )
    assert faithfulness(SPEECH, "Members of Congress.") == 0 == faithfulness(SPEECH, "")


def test_a_summary_is_of_its_own_passage() -> None:
    passages = [query.text for query in load_queries(load_campaign("speeches").text, "test")[:100]]
    for passage, other in zip(passages, passages[1:], strict=False):
        assert faithfulness(passage, lead(passage, 2)) > 2 * faithfulness(other, lead(passage, 2))


def test_labelers_who_do_not_read_the_source_answer_as_before_they_could() -> None:
    options = [BAD, GOOD, VIVID, ABSTRACT]
    noisy = {"noise": 2.0, "slot_bias": 0.5, "error_rate": 0.2}
    chosen = [choose(pool(**noisy), f"occasion {i}", f"query {i}", options) for i in range(12)]
    assert [each.best for each in chosen] == [1, 0, 1, 2, 1, 2, 1, 0, 1, 3, 1, 3]
    assert [each.labeler_id[-3:] for each in chosen[:3]] == ["002", "001", "006"]


def test_noise_errors_and_slot_bias_each_cost_agreement() -> None:
    options = [BAD, GOOD, BAD, BAD]
    assert share(pool(), 1, options) == 1
    assert 0.5 < share(pool(noise=3.0), 1, options) < 0.95
    assert abs(share(pool(error_rate=1.0), 1, options) - 0.25) < 0.08
    biased = Counter(choose(pool(slot_bias=5.0, count=1), f"{i}", QUERY, ["a", "b", "c", "d"]).best for i in range(200))
    assert biased.most_common(1)[0][1] > 190


def test_ties_fall_at_random() -> None:
    counts = Counter(choose(pool(), f"{i}", QUERY, ["same"] * 4).best for i in range(1000))
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
