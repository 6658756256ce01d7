"""bf16 and fp16 on processors that have no instructions for them: the same roundings, computed by fp32 products.

A product of two numbers of 16 bits is exact in fp32, and both kinds of processor add products up in fp32. So the
results differ from those of real instructions by the order of sums alone, before they are rounded to 16 bits.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

ATEN = torch.ops.aten
PRODUCTS = {
    ATEN.mm.default, ATEN.addmm.default, ATEN.bmm.default, ATEN.baddbmm.default, ATEN.linear.default,
    ATEN._scaled_dot_product_flash_attention_for_cpu.default,
    ATEN._scaled_dot_product_flash_attention_for_cpu_backward.default,
}  # fmt: skip
HALF = (torch.bfloat16, torch.float16)


class HalfByFp32(TorchDispatchMode):
    """Computes products of bf16 and fp16 in fp32 and rounds their results, inside a `with` block."""

    def __torch_dispatch__(
        self, func: Any, types: Sequence[Any], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kinds = {arg.dtype for arg in args if isinstance(arg, Tensor)} & set(HALF)
        if func not in PRODUCTS or not kinds:
            return func(*args, **(kwargs or {}))
        (kind,) = kinds
        whole = [_widened(arg, kind) for arg in args]
        return _rounded(func(*whole, **{name: _widened(arg, kind) for name, arg in (kwargs or {}).items()}), kind, func)


def _widened(value: Any, kind: torch.dtype) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype == kind else value


def _rounded(result: Any, kind: torch.dtype, func: Callable[..., Any]) -> Any:
    if isinstance(result, Tensor):
        return result.to(kind)
    if func == ATEN._scaled_dot_product_flash_attention_for_cpu.default:
        return result[0].to(kind), result[1]  # the log of the normalisers is fp32
    return tuple(tensor.to(kind) for tensor in result)
