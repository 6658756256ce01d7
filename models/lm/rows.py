"""Rows: how questions and their responses are laid out for a model, and the states that a model computes for them.

Attention can read k responses behind one query in one row, by masks and positions (models/lm/shared_query.py). Layers
that carry a state from token to token cannot, nor can attention that counts columns. Their responses have a row each,
which begins with the query, without padding before or inside it. What follows a response changes no state before it.

Shapes: contexts [B, C] padded left, responses [B, k, R] padded right, states [B, k, R, d].
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from models.lm.masks import Masks, masks_for
from models.lm.shared_query import query_positions, shared_query, states_at_end, states_before
from models.lm.tokens import PAD


class Rows(StrEnum):
    SHARED = "shared"  # k responses in one row, and one cache
    SEPARATE = "separate"  # one row a response, and the model's own cache
    RECOMPUTED = "recomputed"  # one row a response, computed again for every token


@dataclass(frozen=True)
class Layout:
    """What a model needs to compute what it computes for single rows (models/lm/layout.py measures it)."""

    rows: Rows
    masks: Masks
    size: int  # d, of a hidden state


def states_of(body: PreTrainedModel, layout: Layout, contexts: Tensor, tokens: Tensor) -> Tensor:
    """Return the states [B, k, R, d] before each response token."""
    _, k, length = tokens.shape
    if layout.rows is Rows.SHARED:
        return states_before(_shared(body, layout, contexts, tokens), contexts.shape[1], k, length)
    hidden, real = _separate(body, contexts, tokens)
    first = (real - 1).repeat_interleave(k)[:, None]  # the last token of the context
    columns = first + torch.arange(length, device=first.device)
    return _taken(hidden, columns).view(len(contexts), k, length, -1)


def states_at_ends(body: PreTrainedModel, layout: Layout, contexts: Tensor, responses: Tensor) -> Tensor:
    """Return the states [B, k, d] at the last token of each response."""
    k = responses.shape[1]
    if layout.rows is Rows.SHARED:
        return states_at_end(_shared(body, layout, contexts, responses), responses, contexts.shape[1])
    hidden, real = _separate(body, contexts, responses)
    lengths = (responses != PAD).sum(-1).clamp(min=1).flatten()
    last = real.repeat_interleave(k) + lengths - 1
    return _taken(hidden, last[:, None]).view(len(contexts), k, -1)


def _shared(body: PreTrainedModel, layout: Layout, contexts: Tensor, tokens: Tensor) -> Tensor:
    row = shared_query(contexts, tokens)
    masks = masks_for(body, layout.masks, row.attention, row.positions, row.positions)
    out = body(input_ids=row.tokens, attention_mask=masks, position_ids=row.positions, use_cache=False)
    hidden: Tensor = out.last_hidden_state
    return hidden


def _separate(body: PreTrainedModel, contexts: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Return the states [B * k, C + R, d] of rows without padding on the left, and the lengths [B] of the contexts."""
    width, k = contexts.shape[1], tokens.shape[1]
    real = (contexts != PAD).sum(1)
    row = torch.cat([contexts.repeat_interleave(k, 0), tokens.flatten(0, 1)], 1)
    begins = (width - real).repeat_interleave(k)[:, None]
    column = begins + torch.arange(row.shape[1], device=row.device)
    behind = column >= row.shape[1]
    row = row.gather(1, column.masked_fill(behind, 0)).masked_fill(behind, 0).clamp(min=0)
    hidden: Tensor = body(input_ids=row, use_cache=False).last_hidden_state
    return hidden, real


def _taken(hidden: Tensor, columns: Tensor) -> Tensor:
    """Return the states [N, n, d] at some columns [N, n] of hidden states [N, T, d]."""
    return hidden.gather(1, columns[..., None].expand(-1, -1, hidden.shape[-1]))


def decode(body: PreTrainedModel, layout: Layout, contexts: Tensor, k: int) -> "Decoder":
    """Begin k responses to each context [B, C]."""
    if layout.rows is Rows.SHARED:
        return _InOneRow(body, layout, contexts, k)
    if layout.rows is Rows.SEPARATE:
        return _ByLength(body, contexts, k)
    return _Recomputed(body, layout, contexts, k)


class Decoder:
    """Responses that grow by one token at a time; `state` [B, k, d] is the one from which the next is predicted."""

    state: Tensor

    def append(self, tokens: Tensor) -> None:
        """Append a token [B, k] to each response, and compute the next state."""
        raise NotImplementedError


class _InOneRow(Decoder):
    """One cache a query, [query | first tokens | second tokens | ...]; each response sees its own columns."""

    def __init__(self, body: PreTrainedModel, layout: Layout, contexts: Tensor, k: int) -> None:
        batch, width = contexts.shape
        device = contexts.device
        real = (contexts != PAD)[:, None, None, :]  # [B, 1, 1, C]
        causal = torch.ones(width, width, dtype=torch.bool, device=device).tril()
        itself = torch.eye(width, dtype=torch.bool, device=device)
        # A cache that knows of windows would drop columns by their number.
        cache = DynamicCache(config=body.config) if layout.masks is Masks.ONE else DynamicCache()
        self._body, self._layout, self._cache = body, layout, cache
        self._own = torch.eye(k, dtype=torch.bool, device=device).expand(batch, 1, k, k)
        self._asked = query_positions(contexts)
        out = self._run(contexts.clamp(min=0), (causal & real) | itself, self._asked)
        self.state = out[:, -1:].expand(batch, k, -1)
        self._sees = real.expand(batch, 1, k, width)
        self._position = self._asked[:, -1:].expand(batch, k)

    def append(self, tokens: Tensor) -> None:
        self._sees = torch.cat([self._sees, self._own], -1)
        self._position = self._position + 1
        self._asked = torch.cat([self._asked, self._position], 1)
        self.state = self._run(tokens, self._sees, self._position)

    def _run(self, tokens: Tensor, sees: Tensor, positions: Tensor) -> Tensor:
        masks = masks_for(self._body, self._layout.masks, sees, positions, self._asked)
        step: dict[str, Any] = {"past_key_values": self._cache, "use_cache": True}
        out = self._body(input_ids=tokens, attention_mask=masks, position_ids=positions, **step)
        hidden: Tensor = out.last_hidden_state
        return hidden


class _ByLength(Decoder):
    """A row a response, with the model's own cache; contexts of equal length are computed together, without padding."""

    def __init__(self, body: PreTrainedModel, contexts: Tensor, k: int) -> None:
        self._body, self._k = body, k
        real = (contexts != PAD).sum(1)
        self._groups = [(real == length).nonzero().flatten() for length in real.unique()]
        self._caches: list[dict[str, Any]] = []
        states = []
        for numbers in self._groups:
            rows = contexts[numbers, contexts.shape[1] - int(real[numbers[0]]) :].repeat_interleave(k, 0)
            out = body(input_ids=rows, use_cache=True)
            self._caches.append(dict(self._kept(out)))
            states.append(out.last_hidden_state[:, -1])
        self._join(states)

    def append(self, tokens: Tensor) -> None:
        states = []
        for number, numbers in enumerate(self._groups):
            out = self._body(input_ids=tokens[numbers].flatten()[:, None], use_cache=True, **self._caches[number])
            self._caches[number] = dict(self._kept(out))
            states.append(out.last_hidden_state[:, -1])
        self._join(states)

    def _kept(self, out: Any) -> Iterator[tuple[str, Any]]:
        """Yield what an output holds for the next step, under the name by which the model takes it again."""
        taken = signature(self._body.forward).parameters
        return ((name, value) for name, value in out.items() if name in taken and value is not None)

    def _join(self, states: list[Tensor]) -> None:
        order = torch.cat(self._groups).argsort()
        self.state = torch.cat([state.unflatten(0, (-1, self._k)) for state in states])[order]


class _Recomputed(Decoder):
    """A row a response, computed again for every token, for models without a cache that can be used."""

    def __init__(self, body: PreTrainedModel, layout: Layout, contexts: Tensor, k: int) -> None:
        self._body, self._layout, self._contexts = body, layout, contexts
        self._tokens = contexts.new_zeros(len(contexts), k, 0)
        self._next()

    def append(self, tokens: Tensor) -> None:
        self._tokens = torch.cat([self._tokens, tokens[..., None]], -1)
        self._next()

    def _next(self) -> None:
        following = torch.nn.functional.pad(self._tokens, (0, 1))  # any token: the state before it is asked for
        self.state = states_of(self._body, self._layout, self._contexts, following)[:, :, -1]
