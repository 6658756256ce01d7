"""Sampling responses: fixed length, temperature, no top-k, no stop at end of text (seed-facts 1.1).

The query is prefilled once and its key-value cache copied to the k responses. Log-probabilities and values come from
the sampling pass itself, so PPO needs no second pass over its rollouts.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from tqdm import tqdm
from transformers import DynamicCache, PreTrainedModel

from data.campaign import Text
from models.base import hidden_states, logits
from models.precision import autocast
from models.shared_query import query_positions
from models.tokens import PAD, pad_left, truncate

MOST_TRIES = 24
T = TypeVar("T")


class Samples(NamedTuple):
    """k responses to each of B queries."""

    tokens: Tensor  # [B, k, R]
    logprobs: Tensor  # [B, k, R], of each token at the sampling temperature
    values: Tensor  # [B, k, R], of the state before each token; zero without a value head


@torch.no_grad()
def sample(
    model: PreTrainedModel,
    queries: Tensor,
    k: int,
    rules: Text,
    draw: torch.Generator,
    value_head: nn.Module | None = None,
) -> Samples:
    """Sample k responses to each query [B, Q] (padded left) with the generator `draw`."""
    batch = len(queries)
    real = queries != PAD
    causal = torch.ones(queries.shape[1], queries.shape[1], dtype=torch.bool, device=queries.device).tril()
    itself = torch.eye(queries.shape[1], dtype=torch.bool, device=queries.device)
    attention = (causal & real[:, None, None, :]) | itself
    positions = query_positions(queries)
    cache = DynamicCache(config=model.config)
    with autocast(queries.device):
        out = hidden_states(
            model, queries.clamp(min=0), attention, positions, past_key_values=cache, use_cache=True
        ).last_hidden_state[:, -1]
    cache.batch_repeat_interleave(k)
    state = out.repeat_interleave(k, 0)  # [B * k, d]
    seen = real.repeat_interleave(k, 0)[:, None, None, :]  # [B * k, 1, 1, S]
    position = positions[:, -1:].repeat_interleave(k, 0)
    tokens: list[Tensor] = []
    logprobs: list[Tensor] = []
    values: list[Tensor] = []
    for _ in range(rules.response_tokens):
        if tokens:
            seen = torch.cat([seen, torch.ones_like(seen[..., :1])], -1)
            with autocast(queries.device):
                state = hidden_states(
                    model, tokens[-1], seen, position, past_key_values=cache, use_cache=True
                ).last_hidden_state[:, -1]
        distribution = (logits(model, state) / rules.temperature).log_softmax(-1)
        token = torch.multinomial(distribution.exp(), 1, generator=draw)  # [B * k, 1]
        tokens.append(token)
        logprobs.append(distribution.gather(1, token))
        values.append(torch.zeros_like(logprobs[-1]) if value_head is None else value_head(state.float()))
        position = position + 1
    shape = (batch, k, rules.response_tokens)
    return Samples(*(torch.cat(column, 1).view(shape) for column in (tokens, logprobs, values)))


def in_chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def sample_valid(
    model: PreTrainedModel,
    queries: Sequence[list[int]],
    k: int,
    rules: Text,
    stop: int,
    draw: torch.Generator,
    *,
    title: str,
    chunk: int = 64,
) -> list[list[list[int]]]:
    """Sample until every query has k distinct valid responses, truncated: what people are shown (paper, section 2.2).

    Returns a list of token lists for each query; a query that yields too few in 24 tries gets fewer than k.
    """
    found: list[dict[tuple[int, ...], None]] = [{} for _ in queries]
    device = next(model.parameters()).device
    with tqdm(total=len(queries), desc=title, unit="query", disable=None, leave=False) as bar:
        waiting = list(range(len(queries)))
        for _ in range(MOST_TRIES):
            for part in in_chunks(waiting, chunk):
                padded = pad_left([queries[i] for i in part], rules.query_tokens).to(device)
                cut, valid = truncate(sample(model, padded, k, rules, draw).tokens, stop, rules.truncate_after)
                for i, rows, goods in zip(part, cut.tolist(), valid.tolist(), strict=True):
                    kept = [tuple(t for t in row if t != PAD) for row, good in zip(rows, goods, strict=True) if good]
                    found[i].update(dict.fromkeys(kept))
                    bar.update(len(found[i]) >= k)
            waiting = [i for i in waiting if len(found[i]) < k]
            if not waiting:
                break
    return [[list(tokens) for tokens in list(distinct)[:k]] for distinct in found]


def progress(items: Iterable[T], title: str, unit: str) -> Iterable[T]:
    """Show a bar on a terminal; stay silent in a log."""
    bar: Iterable[T] = tqdm(items, desc=title, unit=unit, disable=None, leave=False)
    return bar
