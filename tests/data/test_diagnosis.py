"""Diagnosis: every fault of a simulated vendor is named from a whole delivery, and what is sound passes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.labels.quality import DIAGNOSES, diagnosed
from data.batches.key import UNKNOWN, read_key_columns
from data.batches.schema import Question, Sample, blind, write_table
from data.campaign.settings import Quality
from data.quality.arrays import Answers, BestChoices, to_arrays
from data.quality.assessment import skill_weights
from data.quality.diagnosis import diagnose, faults_of_the_file
from data.quality.spam import FARTHEST_PAIR, pairs
from data.simulation.faulty_vendor import FAULTS


@pytest.mark.slow
@pytest.mark.parametrize("with_reward_model", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_vendors_mistake_is_named_and_a_sound_delivery_is_accepted(
    fault: str, with_reward_model: bool, tmp_path: Path
) -> None:
    found = diagnosed(fault, 77_000 + FAULTS.index(fault), with_reward_model, tmp_path)
    assert (DIAGNOSES[fault] in found) if fault in DIAGNOSES else not found


def answers(
    samples: np.ndarray, labelers: np.ndarray, items: np.ndarray, gold: np.ndarray | None = None, k: int = 4
) -> Answers:
    """Answers whose options were shown in the order of the samples."""
    known = np.full(len(samples), UNKNOWN) if gold is None else gold
    none = np.full(len(samples), UNKNOWN)
    times, words = np.full(len(samples), np.nan), np.full(len(samples), 50)
    names = [f"l{number}" for number in range(int(labelers.max()) + 1)]
    return Answers(k, items, labelers, samples, samples, known, known, none, none, times, words, names)


def test_without_overlap_gold_or_reward_model_nothing_is_claimed() -> None:
    draw = np.random.default_rng(0)
    asked = answers(draw.integers(0, 4, 500), draw.integers(0, 20, 500), np.arange(500))
    assert diagnose(asked, Quality()) == []


def test_a_few_gold_answers_accuse_nobody() -> None:
    gold = np.full(60, UNKNOWN)
    gold[:9] = 3  # nine, and all of them wrong
    asked = answers(np.tile([0, 1, 2], 20), np.arange(60) % 5, np.arange(60), gold)
    assert diagnose(asked, Quality()) == []


@pytest.mark.parametrize("known", [3, 12])
def test_in_a_small_sound_batch_agreement_on_gold_questions_that_repeat_accuses_nobody(known: int) -> None:
    for seed in range(40):
        draw = np.random.default_rng(seed)
        items = np.r_[np.tile(np.arange(24), 2), 24 + draw.integers(0, known, 24)]
        gold = np.where(items < 24, UNKNOWN, items % 4)
        said = np.where(items < 24, draw.integers(0, 4, 72), gold)  # nobody agrees on the rest
        assert diagnose(answers(said, draw.integers(0, 20, 72), items, gold), Quality()) == []


def seen_by_a_model(each: int, guessers: int, seed: int) -> Answers:
    """Answers of twenty labelers, as a reward model would in three of five cases, but for those who guess."""
    draw = np.random.default_rng(seed)
    labelers, predicted = np.repeat(np.arange(20), each), draw.integers(0, 4, 20 * each)
    as_predicted = draw.random(20 * each) < np.where(labelers < guessers, 0.25, 0.6)
    samples = (predicted + np.where(as_predicted, 0, draw.integers(1, 4, 20 * each))) % 4
    return replace(answers(samples, labelers, np.arange(20 * each)), predicted=predicted)


@pytest.mark.parametrize("each", [5, 15, 40])
def test_of_labelers_who_are_all_alike_none_is_told_to_guess_however_few_their_answers(each: int) -> None:
    assert [seed for seed in range(60) if diagnose(seen_by_a_model(each, 0, seed), Quality())] == []


def test_agreement_is_evidence_once_though_it_is_between_two() -> None:
    """Three answers to each of 45 questions by thirty people: what small sound batches hold."""
    for seed in range(60):
        draw = np.random.default_rng(seed)
        truth, items = draw.integers(0, 4, 45), np.repeat(np.arange(45), 3)
        labelers = np.argsort(draw.random((45, 30)), 1)[:, :3].ravel()
        said = np.where(draw.random(135) < 0.6, truth[items], draw.integers(0, 4, 135))
        assert diagnose(answers(said, labelers, items), Quality()) == []


def test_guessers_of_enough_answers_are_told_from_all_others() -> None:
    named = [diagnose(seen_by_a_model(100, 4, seed), Quality()) for seed in range(20)]
    assert all(finding.code == DIAGNOSES["spammers"] for (finding,) in named)
    assert all(set(finding.labelers) == {"l0", "l1", "l2", "l3"} for (finding,) in named)


def test_those_who_agree_beside_guessers_do_not_copy() -> None:
    draw = np.random.default_rng(5)
    truth, items, labelers = draw.integers(0, 4, 600), np.repeat(np.arange(600), 2), draw.permutation(1200) % 20
    sure = draw.random(1200) < np.where(labelers < 5, 0, 0.95)
    found = diagnose(answers(np.where(sure, truth[items], draw.integers(0, 4, 1200)), labelers, items), Quality())
    assert [finding.code for finding in found] == [DIAGNOSES["spammers"]]


def test_two_rings_of_copies_are_both_named_and_nobody_else() -> None:
    draw = np.random.default_rng(7)
    truth, items = draw.integers(0, 4, 900), np.repeat(np.arange(900), 3)
    labelers = np.argsort(draw.random((900, 20)), 1)[:, :3].ravel()
    own = np.where(draw.random(2700) < 0.6, truth[items], draw.integers(0, 4, 2700))
    sheets = np.where(draw.random((2, 900)) < 0.6, truth, draw.integers(0, 4, (2, 900)))
    said = np.where(labelers < 5, sheets[0][items], np.where(labelers < 10, sheets[1][items], own))
    found = diagnose(answers(said, labelers, items), Quality())
    assert {finding.code for finding in found} == {DIAGNOSES["copycats"]}
    rings = sorted(finding.labelers for finding in found)
    assert rings == [("l0", "l1", "l2", "l3", "l4"), ("l5", "l6", "l7", "l8", "l9")]


def test_one_labeler_alone_is_no_copycat_and_no_guesser() -> None:
    draw = np.random.default_rng(0)
    asked = answers(draw.integers(0, 4, 300), np.zeros(300, np.int64), np.arange(300))
    assert diagnose(asked, Quality()) == []


def test_without_times_both_causes_of_answers_without_content_are_named() -> None:
    draw = np.random.default_rng(0)
    gold = draw.integers(0, 4, 200)
    asked = answers(draw.integers(0, 4, 200), draw.integers(0, 9, 200), np.arange(200), gold)
    (found,) = diagnose(asked, Quality())
    assert found.severity == "reject" and "not mapped back, or rows are joined" in found.fault


@pytest.mark.parametrize("right, named", [(0, "look inverted"), (3, "or have nothing to do"), (8, "not mapped back")])
def test_where_a_few_gold_answers_cannot_tell_two_faults_apart_both_are_named(right: int, named: str) -> None:
    gold = np.arange(30) % 4
    asked = answers((gold + (np.arange(30) >= right) * (1 + np.arange(30) // 4 % 3)) % 4, gold, np.arange(30), gold)
    (found,) = diagnose(asked, Quality())
    assert named in found.fault and found.severity == "reject"


@pytest.mark.filterwarnings("error")
def test_one_time_for_all_answers_is_no_evidence() -> None:
    draw = np.random.default_rng(0)
    gold = draw.integers(0, 4, 200)
    asked = answers(draw.integers(0, 4, 200), draw.integers(0, 9, 200), np.arange(200), gold)
    for seconds in (np.full(200, 5.0), np.full(200, np.nan)):
        (finding,) = diagnose(replace(asked, seconds=seconds, words=np.arange(200)), Quality())
        assert "not mapped back, or rows are joined" in finding.fault and "nan" not in finding.evidence


def test_rows_that_slipped_by_one_are_seen_as_such() -> None:
    draw = np.random.default_rng(0)
    gold = draw.integers(0, 4, 200)
    (found,) = diagnose(answers(np.roll(gold, 1), draw.integers(0, 9, 200), np.arange(200), gold), Quality())
    assert found.code == DIAGNOSES["wrong join"] and "+1 rows" in found.evidence


def test_where_half_the_rows_are_inverted_part_of_the_file_is_named_and_not_its_positions() -> None:
    draw = np.random.default_rng(0)
    gold = draw.integers(0, 4, 100)
    said = np.where(np.arange(100) < 50, gold, (gold + 2) % 4)
    asked = answers(said, draw.integers(0, 9, 100), np.arange(100), gold)
    timed = replace(asked, seconds=np.arange(100.0), words=np.arange(100))  # people did read
    (found,) = faults_of_the_file(timed)
    assert found.fault == "part of the answers look wrong"
    assert "100% in the first half of the rows, 0% in the second" in found.evidence


def test_of_two_options_chance_does_not_make_rows_that_slipped() -> None:
    """Ten ways to slip are tried, and of forty coins so many are often heads."""
    for seed in range(60):
        draw = np.random.default_rng(seed)
        gold = draw.integers(0, 2, 40)
        asked = answers(draw.integers(0, 2, 40), draw.integers(0, 9, 40), np.arange(40), gold, k=2)
        assert not any("answers move by" in found.evidence for found in faults_of_the_file(asked))


def test_two_options_are_diagnosed_too() -> None:
    draw = np.random.default_rng(0)
    gold = draw.integers(0, 2, 100)
    (found,) = diagnose(answers(1 - gold, draw.integers(0, 9, 100), np.arange(100), gold, k=2), Quality())
    assert found.severity == "reject"


def test_copies_of_a_question_are_one_item_whatever_their_order(tmp_path: Path) -> None:
    question = Question("q", "A query.", [1], tuple(Sample(text, [2], "p") for text in "abcd"))
    other = Question("r", "Another.", [1], tuple(Sample(text, [2], "p") for text in "efgh"))
    _, key = blind([question, question, other], "Which?", b"secret")
    write_table(key, tmp_path / "key.parquet")
    columns = read_key_columns(tmp_path / "key.parquet")
    slots = columns.slots(np.full(3, 2))
    assert [row["shown"].index(2) for row in key.to_pylist()] == slots.tolist()
    labels = BestChoices(np.arange(3), np.zeros(3, int), np.full(3, 2), slots, np.full(3, np.nan), ["ann"])
    found = to_arrays(columns, labels, {})
    assert len(set(found.items.tolist())) == 2 and set(found.samples.tolist()) == {2}


def test_whom_others_agree_with_weighs_more_than_who_guesses() -> None:
    draw = np.random.default_rng(3)
    truth = draw.integers(0, 4, 400)
    items, labelers = np.repeat(np.arange(400), 3), np.tile([0, 1, 2], 400)
    guessed = draw.integers(0, 4, 1200)
    right = draw.random(1200) < 0.85
    samples = np.where((labelers < 2) & right, truth[items], guessed)
    weights = skill_weights(answers(samples, labelers, items))
    assert weights[2] < 0.5 < weights[0] and abs(weights[0] - weights[1]) < 0.2


def test_who_shares_no_question_with_others_weighs_1() -> None:
    assert skill_weights(answers(np.arange(40) % 4, np.arange(40) % 3, np.arange(40))).tolist() == [1, 1, 1]


@pytest.mark.parametrize("count", [2, 39, 40, 41, 90])
def test_an_answer_is_paired_with_at_most_39_before_it(count: int) -> None:
    """An item with many answers: pairs are those that are near in the order of delivery, and no fewer."""
    numbers = np.arange(count)
    unknown = np.full(count, UNKNOWN)
    item = Answers(
        k=4,
        items=np.zeros(count, np.int64),
        labelers=numbers,
        samples=numbers % 4,
        slots=numbers % 4,
        gold=unknown,
        gold_slots=unknown,
        predicted=unknown,
        predicted_slots=unknown,
        seconds=np.full(count, np.nan),
        words=np.zeros(count, np.int64),
        names=[str(number) for number in numbers],
    )
    found = pairs(item)
    expected = {(a, b): a % 4 == b % 4 for a in range(count) for b in range(a + 1, min(count, a + FARTHEST_PAIR + 1))}
    both = zip(found.left.tolist(), found.right.tolist(), strict=True)
    assert dict(zip(both, found.equal.tolist(), strict=True)) == expected
    assert len(found.equal) == len(expected), "each pair once"
