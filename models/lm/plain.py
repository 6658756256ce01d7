"""The model's own forward pass: one unpadded row at a time, without a mask and without a cache.

It is slow and cannot be wrong in the ways that faster code can be, so the base check and the preflight compare with it.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

AT_ONCE = 32  # tokens of a response whose cumulative probabilities are in memory


class PlainResponses(NamedTuple):
    """What the model's own softmax says about the tokens [B, k, R] of k responses to each of B contexts."""

    logprobs: Tensor  # [B, k, R]
    low: Tensor  # [B, k, R], the probability of all ids before the token
    high: Tensor  # [B, k, R], the same with the token: a random number between both draws it


@torch.no_grad()
def plain_logits(model: PreTrainedModel, context: Tensor, response: Tensor) -> Tensor:
    """Return the logits [R, V] of a response [R] after its context [C], which may be padded on the left."""
    real = context[context >= 0]
    out: Tensor = model(input_ids=torch.cat([real, response])[None]).logits
    return out[0, len(real) - 1 : -1].float()


@torch.no_grad()
def plain_logprobs(model: PreTrainedModel, contexts: Tensor, tokens: Tensor, temperature: float) -> Tensor:
    """Return the log-probs [B, k, R] of responses [B, k, R] to contexts [B, C]."""
    rows = []
    for context, responses in zip(contexts, tokens, strict=True):
        for response in responses:
            logits = plain_logits(model, context, response) / temperature
            rows.append(logits.log_softmax(-1).gather(1, response[:, None])[:, 0])
    return torch.stack(rows).view(tokens.shape)


@torch.no_grad()
def plain_responses(model: PreTrainedModel, contexts: Tensor, tokens: Tensor, temperature: float) -> PlainResponses:
    """Return log-probs of responses, and the interval of the cumulative distribution that each token has."""
    columns: list[list[Tensor]] = [[], [], []]
    for context, responses in zip(contexts, tokens, strict=True):
        for response in responses:
            logits = plain_logits(model, context, response)
            for part, chosen in zip(logits.split(AT_ONCE), response[:, None].split(AT_ONCE), strict=True):
                logprobs = (part.double() / temperature).log_softmax(-1)
                high = logprobs.exp().cumsum(-1).gather(1, chosen)
                logprob = logprobs.gather(1, chosen)
                for column, values in zip(columns, (logprob, high - logprob.exp(), high), strict=True):
                    column.append(values[:, 0])
    return PlainResponses(*(torch.cat(column).view(tokens.shape) for column in columns))
