"""Log-probs, entropies and gradients in closed form are those of the plain formula."""

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from models.lm.base import Base, trainable_copy
from models.lm.head import KEPT, Head, logits
from models.lm.logprobs import chosen_logprobs
from models.lm.sampling import draw_tokens

TEMPERATURE = 0.7


def plainly(model: PreTrainedModel, states: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    distribution = (logits(model, states) / TEMPERATURE).log_softmax(-1)
    return distribution.gather(-1, tokens[..., None]).squeeze(-1), -(distribution.exp() * distribution).sum(-1)


@pytest.mark.parametrize("kind", [Head(1.0, None), Head(0.25, None), Head(2.0, 3.0)])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("shape", [(3, 2, 5), (23, 4, 24)])  # less than a chunk of rows, and several
def test_they_equal_the_plain_formula_with_their_gradients(
    tiny: Base, shape: tuple[int, ...], biased: bool, kind: Head
) -> None:
    results = []
    for compute in (plainly, lambda m, s, t: chosen_logprobs(m, s, t, TEMPERATURE)):
        model = trainable_copy(tiny.model)
        setattr(model, KEPT, kind)
        head = model.get_output_embeddings()
        torch.manual_seed(1)
        if biased:
            head.bias = nn.Parameter(torch.randn(head.weight.shape[0]))
        states = torch.randn(*shape, head.weight.shape[1], requires_grad=True)
        tokens = torch.randint(head.weight.shape[0], shape)
        logprobs, entropy = compute(model, states, tokens)
        (logprobs * torch.randn(shape)).sum().backward()
        found = [logprobs, entropy, states.grad, head.weight.grad] + ([head.bias.grad] if biased else [])
        results.append([tensor.detach() for tensor in found])
    for plain, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain, atol=2e-5, rtol=1e-4)


def test_without_gradients_they_are_the_same(tiny: Base) -> None:
    states, tokens = torch.randn(4, 6, 32), torch.randint(100, (4, 6))
    with torch.no_grad():
        logprobs, _ = chosen_logprobs(tiny.model, states, tokens, TEMPERATURE)
    torch.testing.assert_close(logprobs, plainly(tiny.model, states, tokens)[0])


def test_an_unlikely_token_has_a_finite_log_prob() -> None:
    model = nn.Module()
    head = nn.Linear(1, 3, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[0.0], [200.0], [-200.0]]))
    model.get_output_embeddings = lambda: head  # type: ignore[assignment]
    setattr(model, KEPT, Head(1.0, None))
    logprobs, _ = chosen_logprobs(model, torch.ones(1, 1), torch.tensor([2]), 1.0)  # type: ignore[arg-type]
    assert float(logprobs) == -400


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    scores = torch.tensor([0.1, 0.6, 0.05, 0.25]).log().repeat(20_000, 1)
    points = torch.rand(20_000, generator=torch.Generator().manual_seed(0))
    token, logprob = draw_tokens(scores.clone(), points)
    shares = token.bincount(minlength=4) / 20_000
    torch.testing.assert_close(shares, torch.tensor([0.1, 0.6, 0.05, 0.25]), atol=0.012, rtol=0)
    torch.testing.assert_close(logprob, scores[0][token])
