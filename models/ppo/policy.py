"""The policy, a language model with a value for every state, and its rollouts.

The value is a head on the same body, zero at the start (paper). Or it has a body of its own that starts as the reward
model, so that early value updates cannot damage the policy (Stiennon et al. 2020).

Shapes: B queries, k responses to each query, R tokens. A context is a query between its affixes. Log-probs and values
[B, k, R] are of the state *before* each token.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from models.lm.base import hidden_size, trainable_copy
from models.lm.head import body_of
from models.lm.layout import response_states
from models.lm.logprobs import chosen_logprobs, response_logprobs
from models.lm.prompts import Prompts
from models.lm.sampling import sample_in_pieces
from models.lm.tokens import pad_left
from models.reward.model import RewardModel
from models.training.loop import Look, unwatched
from models.training.processes import processes

Score = Callable[[Tensor, Tensor], Tensor]  # queries [B, Q], truncated responses [B, k, R] -> scores [B, k]


class Rollout(NamedTuple):
    """One batch of episodes with its scores."""

    queries: Tensor  # [B, Q], input of the reward model
    contexts: Tensor  # [B, C], input of the policy: the query between the campaign's affixes
    tokens: Tensor  # [B, k, R]
    logprobs: Tensor  # [B, k, R], of the policy that sampled
    values: Tensor  # [B, k, R]
    reference: Tensor  # [B, k, R], log-probs of the base
    scores: Tensor  # [B, k], the campaign's invalid_score for invalid responses
    valid: Tensor  # [B, k]


class PolicyModel(nn.Module):
    """A language model with a value head on its body, or on a second body if a reward model is given for its start."""

    def __init__(self, base: PreTrainedModel, value_from: RewardModel | None = None) -> None:
        super().__init__()
        self.language_model = trainable_copy(base)
        self.value_head = nn.Linear(hidden_size(base), 1)
        self.value_body: PreTrainedModel | None = None
        if value_from is None:
            nn.init.zeros_(self.value_head.weight)
            nn.init.zeros_(self.value_head.bias)
        else:
            self.value_body = trainable_copy(value_from.body)
            with torch.no_grad():
                self.value_head.weight.copy_(value_from.gain * value_from.head.weight)
                self.value_head.bias.copy_(value_from.gain * value_from.head.bias + value_from.bias)

    def forward(self, contexts: Tensor, tokens: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-probs, values and entropies [B, k, R] of given responses."""
        states = response_states(body_of(self.language_model), contexts, tokens)
        logprobs, entropy = chosen_logprobs(self.language_model, states, tokens, temperature)
        values = self.values(contexts, tokens) if self.value_body is not None else self.value_head(states).squeeze(-1)
        return logprobs, values, entropy

    def values(self, contexts: Tensor, tokens: Tensor) -> Tensor:
        """Return the separate value model's values [B, k, R]."""
        assert self.value_body is not None
        values: Tensor = self.value_head(response_states(self.value_body, contexts, tokens)).squeeze(-1)
        return values


@torch.no_grad()
def roll_out(
    policy: PolicyModel,
    reference: PreTrainedModel,
    score: Score,
    queries: Sequence[list[int]],
    noise: Tensor,
    prompts: Prompts,
    part: int,
    look: Look = unwatched,
) -> Rollout:
    """Sample responses to B queries with `noise` [B, k, R], and measure them by reference and reward model.

    The policy and the reference read the contexts, the reward model reads the queries. Each process samples its share
    of the batch in pieces that fit into its memory, and measures it `part` queries at a time. All processes get the
    whole rollout.
    """
    group, device, fmt = processes(), next(reference.parameters()).device, prompts.fmt
    plain = group.share_rows(pad_left(queries).to(device))
    contexts = group.share_rows(prompts.contexts(queries).to(device))
    noise = group.share_rows(noise)
    value_head = policy.value_head if policy.value_body is None else None
    sampled = sample_in_pieces(policy.language_model, contexts, noise, fmt, value_head, look)
    pairs = zip(contexts.split(part), sampled.tokens.split(part), strict=True)
    values = sampled.values
    if policy.value_body is not None:
        values = torch.cat([policy.values(context, tokens) for context, tokens in pairs])
    look()
    base_logprobs = response_logprobs(reference, contexts, sampled.tokens, fmt.temperature, part)
    look()
    cut, valid = prompts.truncate(sampled.tokens)
    scores = torch.cat([score(q, c) for q, c in zip(plain.split(part), cut.split(part), strict=True)])
    scores = scores.masked_fill(~valid, fmt.invalid_score)
    mine = Rollout(plain, contexts, sampled.tokens, sampled.logprobs, values, base_logprobs, scores, valid)
    return Rollout(*(group.gather(tensor) for tensor in mine))
