"""What a label teaches: every kind of label is one maths, and each pulls the scores where it should."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy

from data.answers.base import Choice
from models.reward.preferences import Comparison, agreement, best_of, preference_loss, ranked, targets

RESPONSES = [[1], [2], [3], [4]]


def loss(scores: Tensor, *rows: Comparison) -> Tensor:
    return preference_loss(scores, targets(rows))


def test_best_of_four_is_the_papers_cross_entropy() -> None:
    scores = torch.randn(5, 4)
    rows = [best_of([9], RESPONSES, best) for best in (0, 3, 1, 1, 2)]
    expected = cross_entropy(scores, torch.tensor([0, 3, 1, 1, 2]), reduction="none")
    torch.testing.assert_close(loss(scores, *rows), expected)


def test_a_pair_is_bradley_terry() -> None:
    scores = torch.tensor([[0.3, 1.1]])
    wanted = -math.log(1 / (1 + math.exp(0.3 - 1.1)))
    assert float(loss(scores, best_of([9], [[1], [2]], 1))) == pytest.approx(wanted)


@given(st.permutations(range(4)), st.integers(0, 2**31))
def test_a_full_ranking_is_plackett_luce(order: list[int], seed: int) -> None:
    scores = torch.randn(1, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    strength = scores[0].exp()
    probability, left = 1.0, list(range(4))
    for option in order:
        probability *= float(strength[option] / strength[left].sum())
        left.remove(option)
    found = float(loss(scores, ranked([9], RESPONSES, [[option] for option in order])))
    assert found == pytest.approx(-math.log(probability), rel=1e-5)


def test_all_rankings_together_have_probability_one() -> None:
    from itertools import permutations

    rows = [ranked([9], RESPONSES, [[option] for option in order]) for order in permutations(range(4))]
    total = (-loss(torch.randn(1, 4).expand(24, 4), *rows)).exp().sum()
    assert float(total) == pytest.approx(1, abs=1e-5)


def test_a_partial_ranking_says_nothing_about_the_rest() -> None:
    scores = torch.randn(1, 4, requires_grad=True)
    loss(scores, ranked([9], RESPONSES, [[2], [0]])).sum().backward()
    assert scores.grad is not None
    strength = scores.detach()[0].exp()
    # Options 1 and 3 lost both choices: each is pushed down by its own share of them, and by nothing between the two.
    pushed = scores.grad[0, [1, 3]] / strength[[1, 3]]
    assert float(pushed[0]) == pytest.approx(float(pushed[1]), rel=1e-4) and float(scores.grad[0, 1]) > 0


def test_a_tie_pulls_both_alike() -> None:
    scores = torch.zeros(1, 4, requires_grad=True)
    loss(scores, ranked([9], RESPONSES, [[0, 3]])).sum().backward()
    assert scores.grad is not None
    assert scores.grad[0].tolist() == pytest.approx([-0.25, 0.25, 0.25, -0.25])


def test_several_labelers_teach_what_each_alone_would() -> None:
    scores = torch.randn(1, 4)
    alone = sum(float(loss(scores, best_of([9], RESPONSES, best))) for best in (2, 2, 1))
    votes = Choice((0, 1, 2, 3), (0.0, 1 / 3, 2 / 3, 0.0))
    assert float(loss(scores, Comparison([9], RESPONSES, (votes,), weight=3.0))) == pytest.approx(alone, rel=1e-5)


def test_a_weight_scales_a_label_and_zero_silences_it() -> None:
    scores = torch.randn(2, 4)
    once = loss(scores, best_of([9], RESPONSES, 1), best_of([9], RESPONSES, 1))
    weighted = loss(scores, best_of([9], RESPONSES, 1, weight=0.3), best_of([9], RESPONSES, 1, weight=0.0))
    torch.testing.assert_close(weighted, once * torch.tensor([0.3, 0.0]))


def test_ratings_are_squared_errors() -> None:
    scores = torch.tensor([[1.0, 2.0, 0.0, 0.0]])
    assert float(loss(scores, Comparison([9], RESPONSES, ratings=(1, 0, 0, 2)))) == pytest.approx((4 + 4) / 4)


def test_kinds_of_labels_mix_in_one_batch() -> None:
    scores = torch.randn(3, 4)
    rows = (
        best_of([9], RESPONSES, 1),
        ranked([9], RESPONSES, [[3], [0], [1]]),
        Comparison([9], RESPONSES, ratings=(1, 2, 3, 4)),
    )
    alone = torch.cat([loss(scores[i : i + 1], row) for i, row in enumerate(rows)])
    torch.testing.assert_close(loss(scores, *rows), alone)
    assert agreement(torch.eye(4)[[1, 0, 3]], targets(rows)).tolist() == [True, False, True]


@pytest.mark.parametrize("groups", [[[0], [0]], [[4]], [[1, 1]], [[-1]]])
def test_a_ranking_that_is_none_is_refused(groups: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="at most once"):
        ranked([9], RESPONSES, groups)


def test_a_response_that_a_comparison_lacks_has_no_part_in_it() -> None:
    rows = [best_of([9], RESPONSES, 1), best_of([9], [[1], [2]], 0), Comparison([9], [[1], [2]], ratings=(1.0, -1.0))]
    scores = torch.tensor([[0.0, 1.0, 0.5, 0.2], [0.5, 0.2, 9.0, 9.0], [0.3, 0.1, 9.0, 9.0]], requires_grad=True)
    assert agreement(scores, targets(rows)).tolist() == [True, True, True]
    alone = [float(loss(scores.detach()[n : n + 1, : len(row.responses)], row)) for n, row in enumerate(rows)]
    assert loss(scores, *rows).tolist() == pytest.approx(alone)
    loss(scores, *rows).sum().backward()
    assert scores.grad is not None and scores.grad[1:, 2:].eq(0).all() and scores.grad[1:, :2].ne(0).all()
