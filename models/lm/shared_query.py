"""The k samples of a question share one query, so the query is computed once.

A row is [ query | r0 | r1 | ... ]. Every response attends to its query and itself, never to another response, and its
positions continue those of the query. The results equal those of k separate rows (a test compares them to 1e-4) for
less work: with 64 query tokens and four responses of 24 tokens, 160 positions instead of 352.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from models.lm.tokens import PAD


class SharedQuery(NamedTuple):
    """One row a question, T = Q + k * R positions."""

    tokens: Tensor  # [B, T], padding replaced by 0
    attention: Tensor  # [B, 1, T, T], True if the first position may attend to the second
    positions: Tensor  # [B, T]


def query_positions(queries: Tensor) -> Tensor:
    """Return positions [B, Q] that start at 0 with the first real token."""
    return ((queries != PAD).cumsum(1) - 1).clamp(min=0)


def shared_query(queries: Tensor, responses: Tensor) -> SharedQuery:
    """Lay out queries [B, Q] (padded left) and their responses [B, k, R] (padded right) in one row each."""
    batch, width = queries.shape
    _, k, length = responses.shape
    tokens = torch.cat([queries, responses.reshape(batch, k * length)], 1)  # [B, T]
    block = torch.cat(
        [queries.new_zeros(width), torch.arange(1, k + 1, device=queries.device).repeat_interleave(length)]
    )
    sees_block = (block[:, None] == block[None, :]) | (block[None, :] == 0)  # [T, T]: own block, and the query
    causal = torch.ones_like(sees_block).tril()
    real = (tokens != PAD)[:, None, None, :]  # [B, 1, 1, T]
    # A padded position looks at itself, so that no row of the softmax is empty.
    itself = torch.eye(len(block), dtype=torch.bool, device=queries.device)
    attention = (sees_block & causal & real) | itself
    before = query_positions(queries)
    after = before[:, -1:] + 1 + torch.arange(length, device=queries.device)  # [B, R]
    positions = torch.cat([before, after.repeat(1, k)], 1)
    return SharedQuery(tokens.clamp(min=0), attention, positions)


def states_before(hidden: Tensor, width: int, k: int, length: int) -> Tensor:
    """Return the states [B, k, R, d] from which each response token is predicted: the one before it."""
    batch, _, size = hidden.shape
    of_query = hidden[:, width - 1, None, None, :].expand(batch, k, 1, size)
    of_responses = hidden[:, width:].reshape(batch, k, length, size)
    return torch.cat([of_query, of_responses[:, :, :-1]], 2)


def states_at_end(hidden: Tensor, responses: Tensor, width: int) -> Tensor:
    """Return the states [B, k, d] at the last real token of each response [B, k, R]."""
    batch, k, length = responses.shape
    of_responses = hidden[:, width:].reshape(batch, k, length, -1)
    last = ((responses != PAD).sum(-1) - 1).clamp(min=0)  # [B, k]
    return of_responses.gather(2, last[:, :, None, None].expand(batch, k, 1, hidden.shape[-1])).squeeze(2)
