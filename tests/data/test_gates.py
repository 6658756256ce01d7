"""Gates: what a batch must show beyond the absence of known faults, by the campaign's own thresholds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.batches.composition import compose, read_drift, repeat_pairs
from data.batches.key import UNKNOWN
from data.batches.schema import blind, write_table
from data.campaign import load_campaign
from data.campaign.settings import Batch, Quality
from data.labels.decisions import decision_log
from data.measures.intervals import proportion
from data.quality.arrays import Answers
from data.quality.assessment import assess_labelers
from data.quality.gates import drifts, gates
from data.simulation.faulty_vendor import make_questions
from tests.support.vendor import Round

SOUND: Any = {
    "answered": 100,
    "questions": 100,
    "alpha": {"value": 0.2, "low": 0.1, "high": 0.3, "n": 300},
    "undecided": None,
    "agreement_with_reward_model": None,
    "drift": None,
}


def faults(**measures: Any) -> list[tuple[str, str]]:
    return [(found.fault, found.severity) for found in gates(SOUND | measures, Quality())]


def test_a_sound_batch_passes_and_each_gate_stops_what_it_is_for() -> None:
    assert faults() == []
    assert faults(answered=94) == [("the batch is not complete", "hold")]
    unsure = {"value": 0.08, "low": 0.04, "high": 0.12, "n": 300}
    assert faults(alpha=unsure) == [("labelers hardly agree", "hold")]
    assert faults(alpha=unsure | {"high": 0.05}) == [("labelers hardly agree", "reject")]
    assert faults(alpha=unsure | {"n": 60}) == [], "too few items to say so"
    assert faults(undecided=proportion(30, 100)._asdict()) == [("many questions are not decided", "hold")]


@pytest.mark.slow
def test_a_part_of_a_batch_waits_and_counts_by_itself_when_the_rest_arrives(sent: Round) -> None:
    rows = sent.answers()
    first = sent.deliver(rows[: len(rows) // 2])
    assert first.decision == "hold" and [found["fault"] for found in first.findings] == ["the batch is not complete"]
    assert sent.deliver(rows[len(rows) // 2 :]).decision == "accept"
    assert [entry["decision"] for entry in decision_log(sent.store, "c")] == ["hold", "accept"]


def test_the_rate_of_the_fixed_comparison_is_watched_over_batches() -> None:
    earlier: Any = [
        {"decision": "accept", "measures": {"drift": proportion(hits, 72)._asdict()}} for hits in (20, 24, 22)
    ]
    assert drifts(SOUND | {"drift": proportion(25, 72)._asdict()}, earlier, Quality()) == []
    (found,) = drifts(SOUND | {"drift": proportion(60, 72)._asdict()}, earlier, Quality())
    assert found.severity == "hold" and "fixed comparison" in found.fault
    assert drifts(SOUND | {"drift": proportion(60, 72)._asdict()}, earlier[:2], Quality()) == [], "two are no habit"


def test_repeats_and_the_fixed_comparison_are_questions_like_others(tmp_path: Path) -> None:
    questions, known, _ = make_questions(100, 3, gold=5)
    watched = read_drift("fiction-drift.jsonl", 4)
    settings = Batch(questions=100, probe_share=0.5, overlap_share=0.2, repeat_share=0.1)
    asked = compose(questions, known, settings, 0, watched)
    roles = [question.role for question in asked]
    assert (roles.count("repeat"), roles.count("drift"), len(watched)) == (10, 72, 24)
    _, key = blind(asked, "Which?", b"secret")
    write_table(key, tmp_path / "key.parquet")
    pairs = repeat_pairs(tmp_path / "key.parquet")
    item = {row["question_id"]: row["item"] for row in key.to_pylist()}
    assert len(pairs) == 10 and all(item[again] == item[first] and again != first for again, first in pairs)
    copied = {question.item for question in asked if question.role == "overlap"}
    assert not copied & {item[again] for again, _ in pairs}, "what is sent three times is no repeat"


def test_who_answers_repeats_by_chance_is_held() -> None:
    draw = np.random.default_rng(0)
    items, first = np.arange(400), draw.integers(0, 4, 400)
    who = items % 10
    second = np.where((who == 3) | (draw.random(400) < 0.2), draw.integers(0, 4, 400), first)
    said = np.concatenate([first, second])
    none = np.full(800, UNKNOWN)
    fixed = (none, none, none, none, np.full(800, np.nan), none, [str(n) for n in range(10)])
    answers = Answers(4, np.tile(items, 2), np.tile(who, 2), said, said, *fixed)
    found = assess_labelers(answers, [], Quality())
    assert [name for name, each in found.items() if each["decision"] == "hold"] == ["3"]
    assert "own answers repeated" in found["3"]["reasons"][0] and found["3"]["repeated"][1] == 40


@pytest.mark.parametrize("campaign", ["sentiment", "descriptiveness"])
def test_the_shipped_comparison_watches_the_longest(campaign: str) -> None:
    for question in read_drift(load_campaign(campaign, "vendor").batch.drift, 4):
        words = [len(sample.text.split()) for sample in question.samples]
        assert question.watched == words.index(max(words)) and sorted(words)[-1] > sorted(words)[-2]
