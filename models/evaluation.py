"""What a policy does on queries that nobody trained on, beside the base: paired responses, KL, share of valid ones."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

from data.campaign import Text
from models.base import Base
from models.ensemble import Ensemble
from models.policy import response_logprobs
from models.preferences import Comparison
from models.sampling import draw_noise, progress, sample, sample_valid
from models.tokens import encode_affixes, pad_left, single_token, truncate


class Behaviour(NamedTuple):
    """How far a policy went from the base, measured on unfiltered responses."""

    kl: float  # nats a sequence
    kl_standard_error: float
    valid: float


def pairs(
    policy: PreTrainedModel,
    base: Base,
    score: Ensemble,
    queries: Sequence[list[int]],
    rules: Text,
    seed: int,
    best_of: int = 0,
) -> list[Comparison]:
    """Sample one valid response of zero-shot (0) and of the policy (1) to each query, truncated, as people see them.

    With `best_of`, also (2) the one with the highest score of that many of the base's: rejection sampling, what the
    reward model buys without any training of a policy. Queries where a system yields none are left out; nobody has
    chosen yet.
    """
    stop = single_token(base.tokenizer, rules.truncate_at)
    around = encode_affixes(base.tokenizer, rules).around
    contexts = [around(query) for query in queries]
    found = [
        sample_valid(model, contexts, k, rules, stop, torch.Generator().manual_seed(seed), title=title)
        for model, k, title in (
            (base.model, best_of or 1, "evaluating zero-shot"),
            (policy, 1, "evaluating policy"),
        )
    ]
    return [
        Comparison(query, [zero_shot[0], tuned[0], *([_best(score, query, zero_shot)] if best_of else [])])
        for query, zero_shot, tuned in zip(queries, *found, strict=True)
        if zero_shot and tuned
    ]


def _best(score: Ensemble, query: list[int], responses: list[list[int]]) -> list[int]:
    scores = score.scores([Comparison(query, responses)]).mean(0)[0]
    return responses[int(scores.argmax())]


@torch.no_grad()
def behaviour(
    policy: PreTrainedModel, base: Base, queries: Sequence[list[int]], rules: Text, seed: int, chunk: int = 64
) -> Behaviour:
    """Sample one response to each query and compare its log-probabilities under policy and base."""
    device = next(base.model.parameters()).device
    draw = torch.Generator().manual_seed(seed)
    around = encode_affixes(base.tokenizer, rules).around
    stop = single_token(base.tokenizer, rules.truncate_at)
    kls: list[Tensor] = []
    valid: list[Tensor] = []
    for start in progress(range(0, len(queries), chunk), "evaluating KL", "batch"):
        padded = pad_left([around(query) for query in queries[start : start + chunk]]).to(device)
        samples = sample(policy, padded, draw_noise(len(padded), 1, rules, draw), rules)
        reference = response_logprobs(base.model, padded, samples.tokens, rules.temperature, chunk)
        kls.append((samples.logprobs - reference).sum(-1).flatten())
        valid.append(truncate(samples.tokens, stop, rules.truncate_after)[1].float().flatten())
    kl = torch.cat(kls)
    return Behaviour(float(kl.mean()), float(kl.std() / len(kl) ** 0.5), float(torch.cat(valid).mean()))
