"""From every kind of answer to what the reward model learns: choices, rankings with ties, ratings, corrections."""

import math
from typing import Any

import pytest
import torch

from data.answers import DETAILED
from data.batches.index import batches
from data.campaign import load_campaign
from data.campaign.queries import is_held_out
from data.campaign.settings import Ask
from data.errors import Refused
from data.labels.label_sets import Label
from models.lm.base import Base
from models.reward.dataset import split_comparisons
from models.reward.model import measure_held_out
from models.reward.preferences import Comparison, agreement, preference_loss, targets
from models.reward.targets import correction_wins, habits_of, has_a_best, target_of
from tests.support.vendor import Round

QUERY, RESPONSES = [9], [[1], [2], [3], [4]]


def label(who: str = "ann", **said: Any) -> Label:
    details = {kind.name: said.pop(kind.name) for kind in DETAILED if kind.name in said}
    return Label("b1", "q1", who, **{"best_sample": None, "details": details, **said})


def learned(*labels: Label) -> list[Comparison]:
    found = [target_of(each, QUERY, RESPONSES, habits_of(labels)) for each in labels]
    return [each for each in found if each is not None]


def gradient(row: Comparison) -> list[float]:
    scores = torch.zeros(1, 4, requires_grad=True)
    preference_loss(scores, targets([row])).sum().backward()
    assert scores.grad is not None
    return [round(float(-value), 4) for value in scores.grad[0]]


def test_a_choice_and_a_ranking_pull_up_what_they_put_first() -> None:
    (best,) = learned(label(best_sample=2))
    assert gradient(best) == [-0.25, -0.25, 0.75, -0.25]
    (ranking,) = learned(label(best_sample=2, ranking=((2,), (0, 3), (1,))))
    up = gradient(ranking)
    assert up[2] > up[0] == up[3] > up[1], "those that tie are treated alike, the last is pushed down"


def test_a_tie_over_all_pulls_scores_together_and_measures_nothing() -> None:
    (tie,) = learned(label(ranking=((0, 1, 2, 3),)))
    assert gradient(tie) == [0, 0, 0, 0] and not has_a_best(tie)
    apart = torch.tensor([[3.0, 0, 0, 0]])
    assert float(preference_loss(apart, targets([tie]))) > math.log(4) - 1e-6
    assert all(has_a_best(row) for row in learned(label(best_sample=0), label(ranking=((0, 1), (2,)))))


def test_ratings_are_read_on_each_labelers_own_scale() -> None:
    mild = label("mild", ratings='{"overall": [4, 5, 4, 3]}')
    harsh = label("harsh", ratings='{"overall": [3, 5, 3, 1], "accuracy": [1, 1, 1, 7]}')
    one, other = learned(mild, harsh)
    assert one.ratings == pytest.approx(other.ratings) and one.ratings[1] == max(one.ratings)
    assert learned(label("all alike", ratings='{"overall": [4, 4, 4, 4]}')) == []
    (mean,) = learned(label(ratings='{"accuracy": [1, 1, 1, 5], "coverage": [1, 1, 1, 3]}'))
    assert mean.ratings[3] == max(mean.ratings)


def test_held_out_accuracy_is_defined_for_ties_and_so_is_chance() -> None:
    rows = learned(label(best_sample=1), label(ranking=((1, 2), (0, 3))), label(ratings='{"overall": [1, 7, 2, 3]}'))
    scores = torch.tensor([[0.0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]])
    assert agreement(scores, targets(rows)).tolist() == [True, True, False]
    measured = measure_held_out(lambda _: scores[None], rows)
    assert measured.accuracy.value == pytest.approx(2 / 3) and measured.chance == pytest.approx((1 + 2 + 1) / 12)


def test_a_correction_is_preferred_to_what_it_corrects_and_says_nothing_of_the_rest() -> None:
    row = correction_wins(label(best_sample=3, weight=0.5), QUERY, RESPONSES, [7, 8])
    assert row is not None and row.weight == 0.5 and len(row.responses) == 4
    assert row.responses[3] == [4] and row.responses[0] == [7, 8]
    assert gradient(row) == [0.25, 0, 0, -0.25]
    assert correction_wins(label(best_sample=3), QUERY, RESPONSES, [4]) is None, "the same text is no correction"


def test_what_is_asked_is_said_in_the_instructions() -> None:
    assert Ask().wording() == ""
    wording = Ask(kind="ratings", axes=("accuracy", "coverage"), critique=True, correction=True).wording()
    assert "accuracy, coverage" in wording and "wrong" in wording and "write the response" in wording


def test_of_a_batch_single_labels_and_their_corrections_are_trained_on(sent: Round, tiny: Base) -> None:
    (batch,) = batches(sent.store, "c")
    rules = load_campaign("sentiment").text.model_copy(update={"query_ends_at": None})
    main = [row for row in sent.key if row["role"] == "main"][:60]
    gold = [row for row in sent.key if row["role"] == "gold"][:5]
    labels = [Label("b1", row["question_id"], "ann", 0, correction="A happy end.") for row in main + gold]
    split = split_comparisons(tiny, [batch], labels, tiny.prompts(rules), 0.3)
    held_out = [row for row in main if is_held_out(row["query_id"], 0.3)]
    assert 5 < len(held_out) < 40 and len(split.held_out) == len(held_out)
    assert len(split.train) == 2 * (60 - len(held_out)), "gold tests people, and is not learned from"
    better = tiny.tokenizer.encode(" A happy end.", add_special_tokens=False)
    assert split.train[1].responses[1] == better and split.train[1].choices[0].among == (1, 0)
    ties = [each._replace(details={"ranking": ((0, 1, 2, 3),)}, best_sample=None, correction=None) for each in labels]
    with pytest.raises(Refused, match="None of the 65 labels prefers a response"):
        split_comparisons(tiny, [batch], ties, tiny.prompts(rules), 0.3)
