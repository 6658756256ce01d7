"""Whether bf16 pays on this machine: measured, not assumed.

Processors with AVX-512-BF16 or AMX multiply bf16 two to five times faster than fp32; those without are slower than
fp32 by half or more. The flag list does not always tell, so one small matrix product of each kind decides. Manifests
say which it was; ANDON_PRECISION=fp32 or bf16 decides instead, so that a run can be rebuilt elsewhere.
"""

import os
import time
from contextlib import AbstractContextManager
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


@cache
def precision(device_type: str) -> str:
    """Return `bf16` where its matrix products are clearly faster than those of fp32 on this kind of device."""
    wanted = os.environ.get("ANDON_PRECISION", "")
    if wanted in ("fp32", "bf16"):
        return wanted
    if wanted:
        raise Refused(f"ANDON_PRECISION is {wanted}; it must be fp32 or bf16, or not set.")
    if device_type == "cuda":
        pays = torch.cuda.is_bf16_supported()
    else:
        pays = device_type == "cpu" and _seconds(torch.bfloat16) < 0.7 * _seconds(torch.float32)
    return "bf16" if pays else "fp32"


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Autocast to bf16 where it pays; losses, heads and optimizer state stay fp32 by their own casts."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision(device.type) == "bf16")
