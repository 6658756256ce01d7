"""Log-probabilities of chosen tokens. They are most of PPO's arithmetic if the vocabulary is large and the model small.

Let x = W h / T be the logits [V] of one state. Then lp = x[token] - log sum exp x. Its gradient has a closed form,
d lp / dh = (W[token] - m) / T with m = sum_v p_v W_v, and the same m gives the entropy, log sum exp x - h.m / T. So
each logit is exponentiated once, and neither again for the entropy nor for the gradient. Only the exponentials are kept
in memory. The logits are fp32. Products that only gradients and entropies need are in the precision of the body.

Some models cap their logits: x = c tanh(u / c) with u = W h / T. Then each entry of the gradient has the factor
dx / du = 1 - (x / c)^2, and the entropy is log sum exp x - sum_v p_v x_v (models/lm/head.py).
"""

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from models.lm.head import body_of, head_of, soft_cap, weights_of
from models.lm.layout import response_states
from models.lm.precision import DTYPES, precision

ROWS = 256


def chosen_logprobs(
    model: PreTrainedModel, states: Tensor, tokens: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Return log-probs and (without gradient) entropies [...] of tokens [...] at fp32 states [..., d]."""
    head = head_of(model)
    states, weight = _with_bias(model, states, temperature / head.scale)
    cap = None if head.cap is None else head.cap / temperature
    logprobs, entropy = _Chosen.apply(states.flatten(0, -2), weight, tokens.flatten(), cap)  # type: ignore[no-untyped-call]
    return logprobs.view(tokens.shape), entropy.view(tokens.shape)


def _with_bias(model: PreTrainedModel, states: Tensor, divisor: float) -> tuple[Tensor, Tensor]:
    """Return states and weights whose product is the logits over `divisor`, also where the head has a bias."""
    weight, bias = weights_of(model)
    states = states / divisor
    if bias is not None:
        weight = torch.cat([weight, bias[:, None]], 1)
        states = torch.cat([states, torch.full_like(states[..., :1], 1 / divisor)], -1)
    return states, weight


class _Chosen(torch.autograd.Function):
    """states [N, d], weight [V, d], tokens [N], cap of the logits or None -> log-probs [N], entropies [N]."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, tokens: Tensor, cap: float | None) -> tuple[Tensor, Tensor]:
        kind = DTYPES[precision(states.device.type)]
        trained = any(ctx.needs_input_grad)
        rounded = weight.to(kind)
        kept: list[Tensor] = []
        means = torch.zeros_like(states)
        totals, logprobs, entropy = (states.new_zeros(len(states)) for _ in range(3))
        slopes = states.new_ones(len(states))  # dx / du of the chosen tokens
        for start in range(0, len(states), ROWS):
            rows = slice(start, start + ROWS)
            logits = weight @ states[rows].T  # [V, rows] takes two thirds of the time of its transpose
            slope = None
            if cap is not None:
                logits = soft_cap(logits, cap)
                slope = 1 - (logits / cap) ** 2
            chosen = logits.gather(0, tokens[None, rows]).squeeze(0)
            top = logits.amax(0)
            powers = logits.sub(top).exp_() if slope is not None else logits.sub_(top).exp_()
            totals[rows] = powers.sum(0)
            normaliser = top + totals[rows].log()
            logprobs[rows] = chosen - normaliser
            if trained:
                kept.append((powers if slope is None else powers * slope).to(kind))
                means[rows] = (rounded.T @ kept[-1]).T.float() / totals[rows, None]
                if slope is None:
                    entropy[rows] = normaliser - (states[rows] * means[rows]).sum(1)
                else:
                    entropy[rows] = normaliser - (powers * logits).sum(0) / totals[rows]
                    slopes[rows] = slope.gather(0, tokens[None, rows]).squeeze(0)
        ctx.save_for_backward(states, weight, tokens, means, totals, slopes, *kept)
        ctx.mark_non_differentiable(entropy)
        return logprobs, entropy

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        states, weight, tokens, means, totals, slopes, *kept = ctx.saved_tensors
        gradient = gradients[0][:, None]
        of_states = gradient * (slopes[:, None] * weight[tokens] - means)
        of_weight = None
        if ctx.needs_input_grad[1]:
            scaled = gradient * states / totals[:, None]
            of_weight = torch.zeros_like(weight)
            for powers, part in zip(kept, scaled.split(ROWS), strict=True):
                of_weight -= powers @ part.to(powers.dtype)
            of_weight.index_add_(0, tokens, gradient * slopes[:, None] * states)
        return of_states, of_weight, None, None


@torch.no_grad()
def response_logprobs(
    model: PreTrainedModel, contexts: Tensor, tokens: Tensor, temperature: float, part: int
) -> Tensor:
    """Return log-probs [B, k, R] of given responses at the sampling temperature, `part` queries at a time."""
    return torch.cat(
        [
            chosen_logprobs(model, response_states(body_of(model), c, t), t, temperature)[0]
            for c, t in zip(contexts.split(part), tokens.split(part), strict=True)
        ]
    )
