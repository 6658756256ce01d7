"""Which tokens each kind of attention layer may see: all earlier ones, or those in a window or a chunk.

transformers builds these masks by the numbers of columns. In a row of several responses (models/lm/shared_query.py)
two neighbours in the text are not in neighbouring columns, so the masks are built here, by positions.
"""

from enum import StrEnum

import torch
from torch import Tensor
from transformers import PreTrainedModel

KINDS = frozenset({"full_attention", "sliding_attention", "chunked_attention"})  # of layers whose masks are built here


class Masks(StrEnum):
    """How a model takes its masks."""

    ONE = "one"  # one mask for all layers, which see all earlier tokens
    BY_KIND = "by kind"  # a mask for each kind of layer, by name
    WINDOW = "window"  # one mask for all layers, which see a window


def masks_for(body: PreTrainedModel, how: Masks, sees: Tensor, asking: Tensor, asked: Tensor) -> object:
    """Return the mask argument of a body, from `sees` [B, 1, T, S], which is True where any layer may look.

    The positions of the tokens that ask are [B, T], of those that are asked [B, S].
    """
    if how is Masks.ONE:
        return _as_taken(body, sees)
    config = body.config.get_text_config()
    window, chunk = getattr(config, "sliding_window", None), getattr(config, "attention_chunk_size", None)
    ours, theirs = asking[:, None, :, None], asked[:, None, None, :]
    masks = {"full_attention": sees}
    if window is not None:
        masks["sliding_attention"] = sees & (ours - theirs < window)
    if chunk is not None:
        masks["chunked_attention"] = sees & (ours // chunk == theirs // chunk)
    if how is Masks.WINDOW:
        return _as_taken(body, masks["sliding_attention"])
    return {kind: _as_taken(body, masks[kind]) for kind in set(config.layer_types) if kind in masks}


def _as_taken(body: PreTrainedModel, sees: Tensor) -> Tensor:
    """Return a mask as the attention of a body takes it: SDPA takes what may be seen, eager attention adds numbers."""
    if body.config.get_text_config()._attn_implementation == "sdpa":
        return sees
    return torch.zeros(sees.shape, device=sees.device).masked_fill(~sees, torch.finfo(torch.float32).min)
