"""bf16 where it pays: it may round, and must not bias, and everything that adds up small numbers stays fp32."""

from collections.abc import Iterator

import pytest
import torch

from data.campaign import load_campaign
from data.errors import Refused
from models.lm.base import Base, trainable_copy
from models.lm.precision import Precision, fits_fp16, precision, precision_of, training_precision
from models.lm.sampling import draw_noise
from models.lm.tokens import pad_left
from models.ppo.policy import PolicyModel, roll_out
from models.reward.model import new_reward_model, score_all
from models.reward.preferences import best_of
from models.training.adam import Adam

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


@pytest.mark.parametrize(
    ("saved", "precision"), [("fp32", Precision.BF16), ("bf16", Precision.FP32), ("halfway", Precision.FP32)]
)
def test_a_processor_trains_in_bf16_only_if_the_weights_lose_nothing_by_it(
    tiny: Base, monkeypatch: pytest.MonkeyPatch, saved: str, precision: Precision
) -> None:
    monkeypatch.delenv("ANDON_PRECISION")
    monkeypatch.setattr("models.lm.precision.precision_of", lambda kind: Precision.BF16)  # a machine that is fast in it
    model = trainable_copy(tiny.model)
    with torch.no_grad():
        for weight in model.parameters():
            grid = weight.bfloat16().float()
            if saved != "fp32":
                weight.copy_(grid)
            if saved == "halfway":  # as 8 % of SmolLM2's weights from 4 bits
                weight.view(torch.int32).bitwise_or_(0x8000)
    assert training_precision(model) == precision
    monkeypatch.setenv("ANDON_PRECISION", "fp16")
    assert training_precision(model) == Precision.FP16


def test_a_model_whose_states_leave_the_range_of_fp16_is_seen(tiny: Base) -> None:
    assert fits_fp16(tiny.model)
    large = trainable_copy(tiny.model)
    with torch.no_grad():
        next(block for name, block in large.named_parameters() if "mlp.c_proj.weight" in name).mul_(1e7)
    assert not fits_fp16(large)


def steps_of(loss_scale: float, gradients: list[float]) -> tuple[float, Adam]:
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = Adam([weight], 0.1, loss_scale)
    for gradient in gradients:
        optimizer.backward((gradient * weight).sum())
        optimizer.step(remaining=1.0)
    return weight.item(), optimizer


def test_scaled_losses_give_the_same_steps_and_one_that_overflows_is_taken_with_half_the_scale() -> None:
    expected, _ = steps_of(1.0, [0.3, -0.2, 0.7])
    scaled, optimizer = steps_of(2.0**16, [0.3, -0.2, 0.7])
    assert scaled == expected and optimizer.loss_scale == 2.0**16
    skipped, optimizer = steps_of(2.0**16, [0.3, torch.inf, -0.2, 0.7])
    assert skipped == expected and (optimizer.loss_scale, optimizer.steps) == (2.0**15, 3)


def test_a_precision_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDON_PRECISION", "fp8")
    precision_of.cache_clear()
    with pytest.raises(Refused, match="fp32, bf16 or fp16"):
        precision("cpu")
    monkeypatch.undo()
    precision_of.cache_clear()
