import pytest
import torch
from tests.support.zoo import *

FAST=TYPES
@pytest.mark.parametrize("kind", FAST)
def test_log_probs_are_those_of_the_model_itself(kind: str) -> None:
    model = tiny_model(kind)
    *_, differences = sampled(model, model, (40, 5), 2, 8)
    for name, difference in differences.items():
        assert difference.abs().max() <= BOUND, name
