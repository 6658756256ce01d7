"""Whether bf16 pays on this machine: measured, not assumed.

Processors with AVX-512-BF16 or AMX multiply bf16 three to five times faster than fp32; those without are slower than
fp32 by half. The flag list does not always tell, so one small matrix product of each kind decides.
"""

import time
from contextlib import AbstractContextManager
from functools import cache

import torch


def _seconds(dtype: torch.dtype) -> float:
    left, right = torch.ones(1024, 256, dtype=dtype), torch.ones(256, 1024, dtype=dtype)
    best = float("inf")
    for _ in range(6):
        began = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - began)
    return best


@cache
def bf16_pays(device_type: str) -> bool:
    """Say whether matrix products in bf16 are clearly faster than in fp32 on this kind of device."""
    if device_type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device_type == "cpu" and _seconds(torch.bfloat16) < 0.7 * _seconds(torch.float32)


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Autocast to bf16 where it pays; losses, heads and optimizer state stay fp32 by their own casts."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16_pays(device.type))
