"""The precision of matrix products: fp32, bf16 or fp16. A training has one precision, which is part of its run's id.

Weights, losses, heads and optimizer state are always fp32. Rounding changes what is learned (docs/precision.md):

- bf16 has 8 significant bits. Weights that were saved in bf16 do not change in a product until they have moved half a
  step of bf16, and weights halfway between two such numbers all jump at the first step. Other checkpoints lose nothing.
- fp16 has 11 significant bits and rounds eight times finer, but ends at 65,504. So losses are scaled
  (models/training/adam.py), and a model must stay in that range.

A processor computes in bf16 if that is measured to be faster and the weights lose nothing, else in fp32. A GPU computes
in fp16 if the model stays in its range, else in bf16 or fp32. ANDON_PRECISION overrides this choice.
"""

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from enum import StrEnum
from functools import cache

import torch
from torch import Tensor
from transformers import PreTrainedModel

from data.errors import Refused


class Precision(StrEnum):
    """A type of numbers in matrix products."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


DTYPES = {Precision.FP32: torch.float32, Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}
LOST_SHARE = 0.01  # largest share of weights on the grid of bf16, or halfway between; chance gives 2 in 65,536
LOSS_SCALE = 2.0**16  # at the start of a training in fp16
TENSOR_CORES = (7, 0)  # compute capability of the first GPUs that multiply fp16 faster than fp32
_PRECISION: ContextVar[Precision | None] = ContextVar("precision", default=None)


@contextmanager
def computing_in(kind: Precision | None) -> Iterator[None]:
    """Compute in this precision inside; None changes nothing."""
    token = _PRECISION.set(kind or _PRECISION.get())
    try:
        yield
    finally:
        _PRECISION.reset(token)


@contextmanager
def exact() -> Iterator[None]:
    """Compute in fp32 inside, also inside `autocast`: for comparisons of code with code."""
    with computing_in(Precision.FP32), torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
        yield


def precision(device_type: str) -> Precision:
    """Return the precision of matrix products on this kind of device, in this context."""
    return _PRECISION.get() or precision_of(device_type)


def chosen_precision() -> Precision | None:
    """Return the precision that ANDON_PRECISION names, None if it names none."""
    setting = os.environ.get("ANDON_PRECISION", "")
    if setting and setting not in DTYPES:
        raise Refused(f"ANDON_PRECISION is {setting}, expected fp32, bf16 or fp16. Correct it, or leave it out.")
    return Precision(setting) if setting else None


@cache
def precision_of(device_type: str) -> Precision:
    """Return the precision outside of trainings, where rounding loses nothing: bf16 if this device is faster in it."""
    if (setting := chosen_precision()) is not None:
        return setting
    if device_type == "cuda":
        return Precision.BF16 if torch.cuda.is_bf16_supported(including_emulation=False) else Precision.FP32
    pays = device_type == "cpu" and _seconds(torch.bfloat16) < 0.7 * _seconds(torch.float32)
    return Precision.BF16 if pays else Precision.FP32


def training_precision(model: PreTrainedModel) -> Precision:
    """Return the precision in which a training from this model learns what fp32 learns, and is fastest here."""
    device = next(model.parameters()).device
    if (setting := chosen_precision()) is not None:
        return setting
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= TENSOR_CORES and fits_fp16(model):
        return Precision.FP16
    usual = precision_of(device.type)
    return usual if usual == Precision.FP32 or lost_in_bf16(model) <= LOST_SHARE else Precision.FP32


@torch.no_grad()
def fits_fp16(model: PreTrainedModel) -> bool:
    """Return whether all hidden states of a random row are finite in fp16."""
    device = next(model.parameters()).device
    config = model.config.get_text_config()
    length = min(64, getattr(config, "max_position_embeddings", None) or 64)
    row = torch.randint(config.vocab_size, (1, length), generator=torch.Generator().manual_seed(0)).to(device)
    with torch.autocast(device.type, torch.float16):
        hidden: Tensor = model.base_model(input_ids=row).last_hidden_state
    return bool(hidden.isfinite().all())


def loss_scale(device: torch.device) -> float:
    """Return the factor of a training's losses at its start (models/training/adam.py)."""
    return LOSS_SCALE if precision(device.type) == Precision.FP16 else 1.0


def lost_in_bf16(model: PreTrainedModel) -> float:
    """Return the share of the weights that are numbers of bf16, or exactly halfway between two of them."""
    lost = total = 0
    for weight in model.parameters():
        low = weight.detach().reshape(-1).view(torch.int32) & 0xFFFF  # the bits of fp32 that bf16 does not have
        lost += int(((low == 0) | (low == 0x8000)).sum())
        total += low.numel()
    return lost / total


def _seconds(dtype: torch.dtype) -> float:
    """Return the time of a small matrix product. The flags of a processor do not always show which type is fast."""
    left, right = torch.ones(1024, 256, dtype=dtype), torch.ones(256, 1024, dtype=dtype)
    best = float("inf")
    for _ in range(6):
        began = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - began)
    return best


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Multiply matrices in this context's precision. Losses, heads and optimizer state stay fp32 by their own casts."""
    kind = precision(device.type)
    return torch.autocast(device.type, DTYPES[kind], enabled=kind != Precision.FP32)
