"""Token lists in the fixed shapes of the paper: padding, truncation, validity.

Padding is -1, an id that no vocabulary has, so it cannot be sampled, embedded or mistaken for an end of text.
Queries are padded on the left, responses on the right, so a response follows its query without a gap.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

PAD = -1


def pad_left(rows: Sequence[Sequence[int]], width: int = 0) -> Tensor:
    """Stack token lists into [B, W], padded on the left; W is `width`, or the longest row if that is longer."""
    width = max(width, *(len(row) for row in rows))
    return torch.tensor([[PAD] * (width - len(row)) + list(row) for row in rows])


def pad_right(rows: Sequence[Sequence[int]], width: int = 0) -> Tensor:
    """Stack token lists into [B, W], padded on the right; W is `width`, or the longest row if that is longer."""
    width = max(width, *(len(row) for row in rows))
    return torch.tensor([list(row) + [PAD] * (width - len(row)) for row in rows])


def ends(tokens: Tensor, stops: Sequence[Sequence[int]]) -> Tensor:
    """Return whether one of the stops, each a sequence of tokens, ends at each place of tokens [..., R]."""
    singles = torch.tensor([stop[0] for stop in stops if len(stop) == 1], dtype=tokens.dtype, device=tokens.device)
    found = torch.isin(tokens, singles)
    for stop in stops:
        if 1 < len(stop) <= tokens.shape[-1]:
            parts = tokens.unfold(-1, len(stop), 1) == tokens.new_tensor(stop)
            found[..., len(stop) - 1 :] |= parts.all(-1)
    return found


def truncate(responses: Tensor, stops: Sequence[Sequence[int]], after: int) -> tuple[Tensor, Tensor]:
    """Cut responses [..., R] after the first stop that ends at or after index `after`.

    Returns the responses with PAD after the cut, and whether there was such a stop [...], so whether each is valid.
    """
    found = ends(responses, stops)
    found[..., :after] = False
    behind = found.cumsum(-1) - found.long() > 0
    return responses.masked_fill(behind, PAD), found.any(-1)
