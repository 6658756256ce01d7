"""What a policy does on queries that nobody trained on, beside the base: paired responses, KL, share of valid ones."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

from data.campaign import Text
from models.base import Base
from models.ppo import response_logprobs
from models.reward import Comparison
from models.sampling import in_chunks, progress, sample, sample_valid
from models.tokens import pad_left, single_token, truncate


class Behaviour(NamedTuple):
    """How far a policy went from the base, measured on unfiltered responses."""

    kl: float  # nats a sequence
    kl_standard_error: float
    valid: float


def pairs(
    policy: PreTrainedModel, base: Base, queries: Sequence[list[int]], rules: Text, seed: int
) -> list[Comparison]:
    """Sample one valid response of zero-shot (0) and of the policy (1) to each query, truncated, as people see them.

    Queries where one of them yields none are left out; nobody has chosen yet, so `best` is 0 throughout.
    """
    stop = single_token(base.tokenizer, rules.truncate_at)
    device = next(base.model.parameters()).device
    found = [
        sample_valid(model, queries, 1, rules, stop, torch.Generator(device).manual_seed(seed), title=title)
        for model, title in ((base.model, "evaluating zero-shot"), (policy, "evaluating policy"))
    ]
    return [
        Comparison(query, [zero_shot[0], tuned[0]], 0)
        for query, zero_shot, tuned in zip(queries, *found, strict=True)
        if zero_shot and tuned
    ]


@torch.no_grad()
def behaviour(
    policy: PreTrainedModel, base: Base, queries: Sequence[list[int]], rules: Text, seed: int, chunk: int = 64
) -> Behaviour:
    """Sample one response to each query and compare its log-probabilities under policy and base."""
    device = next(base.model.parameters()).device
    draw = torch.Generator(device).manual_seed(seed)
    stop = single_token(base.tokenizer, rules.truncate_at)
    kls: list[Tensor] = []
    valid: list[Tensor] = []
    for part in progress(list(in_chunks(queries, chunk)), "evaluating KL", "batch"):
        padded = pad_left(part, rules.query_tokens).to(device)
        samples = sample(policy, padded, 1, rules, draw)
        reference = response_logprobs(base.model, padded, samples.tokens, rules.temperature, chunk)
        kls.append((samples.logprobs - reference).sum(-1).flatten())
        valid.append(truncate(samples.tokens, stop, rules.truncate_after)[1].float().flatten())
    kl = torch.cat(kls)
    return Behaviour(float(kl.mean()), float(kl.std() / len(kl) ** 0.5), float(torch.cat(valid).mean()))
