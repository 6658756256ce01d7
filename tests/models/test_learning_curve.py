"""The learning curve: nested parts of the labels, each measured on the same held-out ones."""

from statistics import fmean

import pytest
import torch

from data.campaign.settings import Reward
from data.errors import Refused
from models.lm.base import Base
from models.reward.dataset import Split
from models.reward.learning_curve import learning_curve
from models.reward.preferences import Comparison, best_of

SETTINGS = Reward(batch=8, lr=7e-4, held_out_share=0.1, normalisation_samples=64)


def labels(count: int, seed: int) -> list[Comparison]:
    """Labels that prefer the response which repeats one word: something that can be learned."""
    draw = torch.Generator().manual_seed(seed)
    made = []
    for number in range(count):
        query = torch.randint(10, 300, (6,), generator=draw).tolist()
        responses = torch.randint(10, 300, (4, 5), generator=draw).tolist()
        responses[number % 4] = [77] * 5
        made.append(best_of(query, responses, number % 4))
    return made


@pytest.mark.slow
def test_more_labels_predict_better_and_the_same_seed_the_same(tiny: Base) -> None:
    split, said = Split(labels(160, 0), labels(40, 1)), list[str]()
    normal = [Comparison(row.query, row.responses[:1]) for row in split.held_out]
    curve = learning_curve(tiny, split, normal, SETTINGS, 1, said.append)
    assert [point.labels for point in curve] == [25, 50, 100, 200]
    assert {point.held_out for point in curve} == {40} and len(said) == 4
    more = [learning_curve(tiny, split, normal, SETTINGS, seed, said.append) for seed in (1, 2, 3)]
    assert more[0] == curve
    # Of one seed a few labels may do, by chance.
    assert all(each[-1].accuracy > 0.9 for each in more) and fmean(each[0].accuracy for each in more) < 0.8


def test_too_few_labels_have_no_curve(tiny: Base) -> None:
    with pytest.raises(Refused, match="12 labels to train on and 4 held out are too few"):
        learning_curve(tiny, Split(labels(12, 0), labels(4, 1)), [], SETTINGS, 1, print)
