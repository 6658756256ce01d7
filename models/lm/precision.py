"""The precision of matrix products: bf16 if it is measured to be faster on this machine, else fp32.

Processors with AVX-512-BF16 or AMX multiply bf16 two to five times faster than fp32; other processors take half as long
again or more. The flags of a processor do not always show this, so one small product of each kind is timed. Manifests
record the result. ANDON_PRECISION=fp32 or bf16 overrides it, so that a run can be rebuilt on another machine.
"""

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import cache

import torch

from data.errors import Refused


def _seconds(dtype: torch.dtype) -> float:
    left, right = torch.ones(1024, 256, dtype=dtype), torch.ones(256, 1024, dtype=dtype)
    best = float("inf")
    for _ in range(6):
        began = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - began)
    return best


_EXACT: ContextVar[bool] = ContextVar("exact", default=False)


@contextmanager
def exact() -> Iterator[None]:
    """Compute in fp32 inside, whatever the precision of this machine: for comparisons of code with code."""
    token = _EXACT.set(True)
    try:
        yield
    finally:
        _EXACT.reset(token)


def precision(device_type: str) -> str:
    """Return the precision of matrix products on this kind of device: fp32 inside `exact`."""
    return "fp32" if _EXACT.get() else precision_of(device_type)


@cache
def precision_of(device_type: str) -> str:
    """Return `bf16` if its matrix products are clearly faster than those of fp32 on this kind of device."""
    setting = os.environ.get("ANDON_PRECISION", "")
    if setting in ("fp32", "bf16"):
        return setting
    if setting:
        raise Refused(f"ANDON_PRECISION is {setting}, expected fp32 or bf16. Correct it, or leave it out.")
    if device_type == "cuda":
        pays = torch.cuda.is_bf16_supported()
    else:
        pays = device_type == "cpu" and _seconds(torch.bfloat16) < 0.7 * _seconds(torch.float32)
    return "bf16" if pays else "fp32"


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Autocast to bf16 if that is faster. Losses, heads and optimizer state stay fp32 by their own casts."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision(device.type) == "bf16")
