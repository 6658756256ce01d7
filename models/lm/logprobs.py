"""Log-probabilities of chosen tokens. They are most of PPO's arithmetic if the vocabulary is large and the model small.

Let x = W h / T be the logits [V] of one state. Then lp = x[token] - log sum exp x. Its gradient has a closed form,
d lp / dh = (W[token] - m) / T with m = sum_v p_v W_v, and the same m gives the entropy, log sum exp x - h.m / T. So
each logit is exponentiated once, and neither again for the entropy nor for the gradient. Only the exponentials are kept
in memory. The logits are fp32. Products that only gradients and entropies need are in the precision of the body.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from models.lm.base import hidden_states
from models.lm.precision import DTYPES, autocast, precision
from models.lm.shared_query import shared_query, states_before

ROWS = 256


def chosen_logprobs(
    model: PreTrainedModel, states: Tensor, tokens: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Return log-probs and (without gradient) entropies [...] of tokens [...] at fp32 states [..., d]."""
    states, weight = _with_bias(model, states / temperature, temperature)
    logprobs, entropy = _Chosen.apply(states.flatten(0, -2), weight, tokens.flatten())  # type: ignore[no-untyped-call]
    return logprobs.view(tokens.shape), entropy.view(tokens.shape)


def _with_bias(model: PreTrainedModel, states: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return states and weights whose product is the logits, also where the head has a bias."""
    head: Any = model.get_output_embeddings()
    weight: Tensor = head.weight
    if getattr(head, "bias", None) is not None:
        weight = torch.cat([weight, head.bias[:, None]], 1)
        states = torch.cat([states, torch.full_like(states[..., :1], 1 / temperature)], -1)
    return states, weight


class _Chosen(torch.autograd.Function):
    """states [N, d], weight [V, d], tokens [N] -> log-probs [N], entropies [N]."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        kind = DTYPES[precision(states.device.type)]
        trained = any(ctx.needs_input_grad)
        rounded = weight.to(kind)
        kept: list[Tensor] = []
        means = torch.zeros_like(states)
        totals, logprobs, entropy = (states.new_zeros(len(states)) for _ in range(3))
        for start in range(0, len(states), ROWS):
            rows = slice(start, start + ROWS)
            logits = weight @ states[rows].T  # [V, rows] takes two thirds of the time of its transpose
            chosen = logits.gather(0, tokens[None, rows]).squeeze(0)
            top = logits.amax(0)
            powers = logits.sub_(top).exp_()
            totals[rows] = powers.sum(0)
            normaliser = top + totals[rows].log()
            logprobs[rows] = chosen - normaliser
            if trained:
                kept.append(powers.to(kind))
                means[rows] = (rounded.T @ kept[-1]).T.float() / totals[rows, None]
                entropy[rows] = normaliser - (states[rows] * means[rows]).sum(1)
        ctx.save_for_backward(states, weight, tokens, means, totals, *kept)
        ctx.mark_non_differentiable(entropy)
        return logprobs, entropy

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None]:
        states, weight, tokens, means, totals, *kept = ctx.saved_tensors
        gradient = gradients[0][:, None]
        of_states = gradient * (weight[tokens] - means)
        of_weight = None
        if ctx.needs_input_grad[1]:
            scaled = gradient * states / totals[:, None]
            of_weight = torch.zeros_like(weight)
            for powers, part in zip(kept, scaled.split(ROWS), strict=True):
                of_weight -= powers @ part.to(powers.dtype)
            of_weight.index_add_(0, tokens, gradient * states)
        return of_states, of_weight, None


def _states(model: PreTrainedModel, contexts: Tensor, tokens: Tensor) -> Tensor:
    """Return the fp32 states [B, k, R, d] before each response token."""
    row = shared_query(contexts, tokens)
    with autocast(contexts.device):
        out = hidden_states(model, row.tokens, row.attention, row.positions, use_cache=False)
    return states_before(out.last_hidden_state, contexts.shape[1], tokens.shape[1], tokens.shape[2]).float()


@torch.no_grad()
def response_logprobs(
    model: PreTrainedModel, contexts: Tensor, tokens: Tensor, temperature: float, part: int
) -> Tensor:
    """Return log-probs [B, k, R] of given responses at the sampling temperature, `part` queries at a time."""
    return torch.cat(
        [
            chosen_logprobs(model, _states(model, c, t), t, temperature)[0]
            for c, t in zip(contexts.split(part), tokens.split(part), strict=True)
        ]
    )
