"""From text to the fixed shapes of the paper and back: query fmt, truncation, validity, padding.

Padding is -1 here, an id that no vocabulary has: it cannot be sampled, embedded or mistaken for an end of text.
Queries are padded on the left, responses on the right, so a response follows its query without a gap.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from data.campaign.settings import TextFormat
from data.errors import Refused

PAD = -1


def single_token(tokenizer: Any, text: str) -> int:
    """Return the id of a text that must be one token, as the paper's rules need of "." and newline."""
    ids = tokenizer.encode(text, add_special_tokens=False)
    if len(ids) != 1:
        raise Refused(f"{text!r} is {len(ids)} tokens for this base; a rule of the campaign needs it to be one.")
    return int(ids[0])


class Affixes(NamedTuple):
    """What the policy, and only the policy, reads around a query: "TL;DR:" before its response."""

    prefix: tuple[int, ...] = ()
    suffix: tuple[int, ...] = ()

    def around(self, query: Sequence[int]) -> list[int]:
        return [*self.prefix, *query, *self.suffix]


NO_AFFIXES = Affixes()


def encode_affixes(tokenizer: Any, fmt: TextFormat) -> Affixes:
    prefix, suffix = (tokenizer.encode(text, add_special_tokens=False) for text in (fmt.prefix, fmt.suffix))
    return Affixes(tuple(prefix), tuple(suffix))


def encode_query(tokenizer: Any, text: str, fmt: TextFormat) -> list[int] | None:
    """Return at most `query_tokens` ids by the campaign's start and end rules; None where the text has no such part."""
    ids = _text_ids(tokenizer, text)
    if fmt.query_starts_after is not None:
        start = single_token(tokenizer, fmt.query_starts_after)
        if start not in ids:
            return None
        ids = ids[ids.index(start) + 1 :]
    ids = ids[: fmt.query_tokens]
    if fmt.query_ends_at is None:
        return ids or None
    stop = single_token(tokenizer, fmt.query_ends_at)
    ends = [index for index, token in enumerate(ids) if token == stop]
    return ids[: ends[-1] + 1] if ends else None


def encode_response(tokenizer: Any, text: str, fmt: TextFormat) -> list[int]:
    """Return the ids of a response that is given as text, as long as the policy could have made it."""
    return _text_ids(tokenizer, " " + text.strip())[: fmt.response_tokens]


def _text_ids(tokenizer: Any, text: str) -> list[int]:
    """Return the ids of a text of others, in which "<|endoftext|>" is thirteen characters and ends nothing."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
    return ids


def pad_left(rows: Sequence[Sequence[int]], width: int = 0) -> Tensor:
    """Stack token lists into [B, width], padded on the left; as wide as the longest where that is more."""
    width = max(width, *(len(row) for row in rows))
    return torch.tensor([[PAD] * (width - len(row)) + list(row) for row in rows])


def pad_right(rows: Sequence[Sequence[int]], width: int = 0) -> Tensor:
    """Stack token lists into [B, width], padded on the right; as wide as the longest where that is more."""
    width = max(width, *(len(row) for row in rows))
    return torch.tensor([list(row) + [PAD] * (width - len(row)) for row in rows])


def truncate(responses: Tensor, stop: int, after: int) -> tuple[Tensor, Tensor]:
    """Cut responses [..., R] behind the first `stop` token at or after index `after`.

    Returns the responses with PAD behind the cut, and whether there was such a token [...]: whether each is valid.
    """
    stops = responses == stop
    stops[..., :after] = False
    behind = stops.cumsum(-1) - stops.long() > 0
    return responses.masked_fill(behind, PAD), stops.any(-1)


def decode(tokenizer: Any, tokens: Sequence[int]) -> str:
    """Return the text that people read: no padding, no special tokens, no spaces at the ends."""
    text: str = tokenizer.decode([token for token in tokens if token != PAD], skip_special_tokens=True)
    return text.strip()
