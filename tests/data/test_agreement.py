"""Agreement and skill: known values, and what the estimates promise on answers of known labelers."""

import warnings

import numpy as np
import pytest

from data.measures.agreement import alpha_interval, count_classes, krippendorff_alpha, one_coin, slot_p


def test_krippendorffs_own_example_is_reproduced() -> None:
    """Nominal alpha 0.743 in "Computing Krippendorff's Alpha-Reliability" (2011): four observers, twelve units."""
    a = [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0]
    b = [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3]
    c = [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0]
    d = [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0]
    rows = [(unit, value - 1) for row in (a, b, c, d) for unit, value in enumerate(row) if value]
    units, values = np.array(rows).T
    counts = count_classes(units, values, 5)
    assert krippendorff_alpha(counts) == pytest.approx(0.743, abs=5e-4)


def test_full_agreement_is_1_and_guessing_0() -> None:
    draw = np.random.default_rng(0)
    units = np.repeat(np.arange(2000), 3)
    same = np.repeat(draw.integers(0, 4, 2000), 3)
    assert krippendorff_alpha(count_classes(units, same, 4)) == 1
    assert abs(krippendorff_alpha(count_classes(units, draw.integers(0, 4, 6000), 4))) < 0.03


def test_one_answer_a_unit_says_nothing_of_agreement() -> None:
    assert np.isnan(krippendorff_alpha(count_classes(np.arange(5), np.arange(5) % 4, 4)))


def test_where_all_answer_alike_there_is_nothing_to_tell_from_chance() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # which people would read on their terminals
        found = alpha_interval(count_classes(np.repeat(np.arange(20), 3), np.zeros(60, int), 4))
    assert np.isnan(found.low) and np.isnan(found.high) and found.n == 20


def test_the_interval_covers_the_truth() -> None:
    """Labelers who are right with probability p and else guess agree with alpha p squared."""
    covered = 0
    for seed in range(40):
        draw = np.random.default_rng(seed)
        truth = np.repeat(draw.integers(0, 4, 300), 3)
        said = np.where(draw.random(900) < 0.6, truth, draw.integers(0, 4, 900))
        found = alpha_interval(count_classes(np.repeat(np.arange(300), 3), said, 4))
        covered += found.low <= 0.36 <= found.high
    assert covered >= 34  # of 40 at 95 %: fewer has probability below 0.01


def test_skill_is_found_without_any_known_answer() -> None:
    draw = np.random.default_rng(1)
    right = np.array([0.9] * 6 + [0.6] * 6 + [0.25] * 4)
    truth = draw.integers(0, 4, 1500)
    units = np.repeat(np.arange(1500), 4)
    labelers = np.concatenate([draw.choice(16, 4, replace=False) for _ in range(1500)])
    wrong = (truth[units] + draw.integers(1, 4, len(units))) % 4
    said = np.where(draw.random(len(units)) < right[labelers], truth[units], wrong)
    skills = one_coin(units, labelers, said, 4, {})
    assert np.abs(skills.skill - right).max() < 0.08
    assert (skills.truth.argmax(1) == truth).mean() > np.mean(
        [(said[units == u] == truth[u]).mean() for u in range(99)]
    )


def test_known_answers_fix_the_truth() -> None:
    units, labelers, said = np.array([0, 0, 0]), np.array([0, 1, 2]), np.array([1, 1, 2])
    free, fixed = one_coin(units, labelers, said, 4, {}), one_coin(units, labelers, said, 4, {0: 2})
    assert free.truth[0].argmax() == 1 and fixed.truth[0].argmax() == 2
    assert fixed.skill[2] > fixed.skill[0]


def test_even_positions_have_no_small_p_and_one_position_has() -> None:
    draw = np.random.default_rng(0)
    p = [slot_p(draw.integers(0, 4, 200), 4) for _ in range(200)]
    assert 0.01 < np.mean(np.array(p) < 0.05) < 0.12
    assert slot_p(np.zeros(40, np.int64), 4) < 1e-20
    assert slot_p(np.zeros(3, np.int64), 4) == 1, "too few to say anything"
