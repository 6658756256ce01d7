"""Intervals cover the truth as often as they say."""

import random

import pytest

from data.measures.intervals import proportion


def test_the_interval_holds_its_share() -> None:
    found = proportion(60, 100)
    assert found.value == 0.6 and 0.5 < found.low < 0.6 < found.high < 0.7


def test_published_intervals_are_reproduced() -> None:
    # Ziegler et al.'s accuracy counts with Wilson intervals: 6/30, 29/30.
    assert [round(x, 2) for x in proportion(6, 30)[1:3]] == [0.10, 0.37]
    assert [round(x, 2) for x in proportion(29, 30)[1:3]] == [0.83, 0.99]


@pytest.mark.parametrize("truth", [0.5, 0.86, 0.95])
def test_95_percent_intervals_cover_the_truth(truth: float) -> None:
    draw = random.Random(0)
    covered = 0
    for _ in range(1000):
        low, high = proportion(sum(draw.random() < truth for _ in range(200)), 200)[1:3]
        covered += low <= truth <= high
    assert 930 <= covered <= 975


def test_nothing_measured_says_nothing() -> None:
    assert proportion(0, 0)[1:] == (0.0, 1.0, 0)
    assert proportion(5, 5).high == 1.0 and proportion(0, 5).low == 0.0
