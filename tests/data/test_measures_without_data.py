"""Measures of nothing, or of data that never vary, claim nothing: no warning, no error, and no interval that excludes.

A claim is an estimate whose interval leaves values out, or a p value below one.
"""

import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest

from data.measures.agreement import alpha_interval, count_classes, one_coin, slot_p
from data.measures.calibration import calibration
from data.measures.elo import elo_ratings
from data.measures.intervals import Estimate, proportion
from data.measures.text_metrics import score_gaps
from data.measures.win_rate import length_controlled, win_rate

NOTHING = np.array([], dtype=np.int64)
SAME = np.zeros(6, dtype=np.int64)
APART = np.arange(6)


def claims_nothing(result: object) -> bool:
    if isinstance(result, Estimate):
        return math.isnan(result.value) or (result.low < result.high and result.low <= result.value <= result.high)
    return True


MEASURES: dict[str, Callable[[], object]] = {
    "a share of nothing": lambda: proportion(0, 0),
    "a share of one": lambda: proportion(1, 1),
    "agreement of nobody": lambda: alpha_interval(count_classes(NOTHING, NOTHING, 4)),
    "agreement of one labeler": lambda: alpha_interval(count_classes(APART, SAME, 4)),
    "agreement on one option": lambda: alpha_interval(count_classes(np.repeat(APART, 2), np.repeat(SAME, 2), 4)),
    "skills of nobody": lambda: one_coin(NOTHING, NOTHING, NOTHING, 4, {}),
    "skills without a common question": lambda: one_coin(APART, SAME, SAME, 4, {}),
    "positions of nobody": lambda: slot_p(NOTHING, 4),
    "a win rate of nothing": lambda: win_rate([], [], []),
    "a win rate of one judgement": lambda: win_rate([1.0], ["q"], ["a"]),
    "a win rate that never varies": lambda: win_rate([1.0] * 6, list("abcdef"), ["a"] * 6),
    "lengths that never vary": lambda: length_controlled([0.5] * 6, [10] * 6, [10] * 6, list("abcdef"), ["a"] * 6),
    "ratings of nobody": lambda: elo_ratings(["a", "b"], [], [], [], [], [], "a"),
    "gaps between equal scores": lambda: score_gaps({"a": [1.0, 1.0], "b": [1.0, 1.0]}, "a"),
    "calibration of equal scores": lambda: calibration([0, 0], [[1.0, 1.0], [1.0, 1.0]]),
}


@pytest.mark.parametrize("measure", MEASURES)
def test_no_data_is_no_claim(measure: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert claims_nothing(MEASURES[measure]())
