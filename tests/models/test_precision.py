"""bf16 where it pays: it may round, and must not bias, and everything that adds up small numbers stays fp32."""

from collections.abc import Iterator

import pytest
import torch

from data.campaign import load_campaign
from data.errors import Refused
from models.lm.base import Base
from models.lm.precision import precision, precision_of
from models.lm.sampling import draw_noise
from models.lm.tokens import pad_left
from models.ppo.policy import PolicyModel, roll_out
from models.reward.model import new_reward_model, score_all
from models.reward.preferences import best_of

RULES = load_campaign("sentiment").text
QUERIES = [[5, 9, 300, 7], [8] * 40, [1, 2], [90, 91, 92]] * 4


@pytest.fixture
def bf16(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ANDON_PRECISION", "bf16")
    precision_of.cache_clear()
    yield
    monkeypatch.undo()
    precision_of.cache_clear()


@pytest.mark.usefixtures("bf16")
def test_sampling_and_training_still_agree_on_what_was_sampled(tiny: Base) -> None:
    policy, queries = PolicyModel(tiny.model), pad_left(QUERIES)
    noise = draw_noise(len(QUERIES), 4, RULES, torch.Generator().manual_seed(0))
    rolled = roll_out(policy, tiny.model, lambda q, r: torch.zeros(r.shape[:2]), QUERIES, noise, tiny.prompts(RULES), 3)
    kl = (rolled.logprobs - rolled.reference).sum(-1)
    assert kl.abs().max() > 1e-6, "bf16 is on"
    # bf16 rounds to one part in 512. That moved these sequences of 24 tokens by at most 0.0002 nats, on average by
    # 0.00001. The bounds are twenty times as much, because other processors round in another order.
    assert kl.mean().abs() < 2e-4 and kl.abs().max() < 4e-3
    logprobs, values, entropy = policy(queries, rolled.tokens, RULES.temperature)
    assert {logprobs.dtype, values.dtype, entropy.dtype, rolled.logprobs.dtype} == {torch.float32}
    assert abs(float((logprobs.detach() - rolled.logprobs).exp().mean()) - 1) < 1e-4  # 4e-7 was measured


@pytest.mark.usefixtures("bf16")
def test_scores_gradients_and_weights_are_fp32(tiny: Base) -> None:
    model = new_reward_model(tiny.model, 0)
    rows = [best_of([1, 2, 3], [[4, 5], [6], [7, 8, 9], [10]], 0)]
    scores = model(*model.tensors(rows))
    scores.sum().backward()
    assert scores.dtype == torch.float32
    assert {p.dtype for p in model.parameters()} | {p.grad.dtype for p in model.parameters() if p.grad is not None} == {
        torch.float32
    }


def test_rounding_moves_a_score_by_little(
    tiny: Base, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    model = new_reward_model(tiny.model, 0).requires_grad_(False)
    rows = [best_of(query, [[4, 5], [6], [7, 8, 9], [10]], 0) for query in QUERIES]
    exact = score_all(model, rows)
    request.getfixturevalue("bf16")
    rounded = score_all(model, rows)
    assert 0 < (exact - rounded).abs().max() < 0.02 * exact.std()  # 0.0009 was measured, and 1 / 512 is one rounding


def test_a_precision_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDON_PRECISION", "fp8")
    precision_of.cache_clear()
    with pytest.raises(Refused, match="fp32, bf16 or fp16"):
        precision("cpu")
    monkeypatch.undo()
    precision_of.cache_clear()
