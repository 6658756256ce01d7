"""The preflight measures what rounding explains, and sees the rest: in fp32 also a bias that is divided wrongly."""

import pytest
import torch
from torch import Tensor
from transformers import PhiConfig, PhiForCausalLM, PreTrainedModel

from data.campaign import load_campaign
from models.lm.base import Base, best_device, fingerprint
from models.lm.head import weights_of
from models.lm.precision import Precision, computing_in
from models.monitoring.preflight import Preflight, run_preflight
from models.ppo.policy import PolicyModel

CAMPAIGN = load_campaign("sentiment")
QUERIES = [[5, 9, 300, 7], [8] * 40, [1, 2], [90, 91, 92]]


@pytest.fixture
def tiny_phi(tiny: Base) -> Base:
    """A base whose head has a bias of deviation 0.1."""
    config = PhiConfig(
        vocab_size=len(tiny.tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
    )
    model = PhiForCausalLM(config).eval().requires_grad_(False).to(best_device())
    weight, bias = weights_of(model)
    weight.normal_(std=0.5)
    assert bias is not None
    bias.normal_(std=0.1)
    return Base("tiny-phi", model, tiny.tokenizer, fingerprint(model), tiny.vocabulary)


def checked(base: Base) -> Preflight:
    prompts = base.prompts(CAMPAIGN.text)
    return run_preflight(PolicyModel(base.model), base.model, lambda q, r: r[..., 0].float(), QUERIES, prompts)


def test_fp32_has_no_noise_and_sees_a_bias_of_the_head_that_is_not_divided_by_the_temperature(
    tiny_phi: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checked(tiny_phi) == ([], 0.0)

    def bias_whole(model: PreTrainedModel, states: Tensor, temperature: float) -> Tensor:
        weight, bias = weights_of(model)
        return torch.nn.functional.linear(states.float() / temperature, weight, bias)

    monkeypatch.setattr("models.lm.sampling.logits", bias_whole)
    (alarm,) = checked(tiny_phi).alarms
    assert "log-probs of sampling" in alarm.text


def test_rounding_is_measured_and_is_no_alarm_in_any_precision(tiny_phi: Base) -> None:
    noise = {}
    for precision in (Precision.BF16, Precision.FP16):
        with computing_in(precision):
            alarms, noise[precision] = checked(tiny_phi)
        assert alarms == []
    assert 0 < noise[Precision.FP16] < noise[Precision.BF16] / 4 < 0.01
