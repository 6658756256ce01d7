"""Token lists in the fixed shapes of the paper: padding, truncation, validity.

Padding is -1, an id that no vocabulary has, so it cannot be sampled, embedded or mistaken for an end of text.
Queries are padded on the left, responses on the right, so a response follows its query without a gap.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from data.errors import Refused

PAD = -1


def single_token(tokenizer: Any, text: str) -> int:
    """Return the id of a text that must be one token, like "." and newline in the paper's rules."""
    ids = tokenizer.encode(text, add_special_tokens=False)
    if len(ids) != 1:
        raise Refused(
            f"{text!r} is {len(ids)} tokens for this base, but a text rule of the campaign needs one token. "
            "Choose another text in [text], or another base."
        )
    return int(ids[0])


def pad_left(rows: Sequence[Sequence[int]], width: int = 0) -> Tensor:
    """Stack token lists into [B, W], padded on the left; W is `width`, or the longest row if that is longer."""
    width = max(width, *(len(row) for row in rows))
    return torch.tensor([[PAD] * (width - len(row)) + list(row) for row in rows])


def pad_right(rows: Sequence[Sequence[int]], width: int = 0) -> Tensor:
    """Stack token lists into [B, W], padded on the right; W is `width`, or the longest row if that is longer."""
    width = max(width, *(len(row) for row in rows))
    return torch.tensor([list(row) + [PAD] * (width - len(row)) for row in rows])


def truncate(responses: Tensor, stop: int, after: int) -> tuple[Tensor, Tensor]:
    """Cut responses [..., R] after the first `stop` token at or after index `after`.

    Returns the responses with PAD after the cut, and whether there was such a token [...], so whether each is valid.
    """
    stops = responses == stop
    stops[..., :after] = False
    behind = stops.cumsum(-1) - stops.long() > 0
    return responses.masked_fill(behind, PAD), stops.any(-1)
