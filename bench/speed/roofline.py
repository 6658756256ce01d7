"""The least time the work can take: its counted operations and bytes over the rates this machine was measured to have.

A matrix product of n rows with a weight of p numbers is 2 n p operations, three times that with its gradients. Only
products and the optimizer's bytes are counted; norms, softmaxes, GELUs and copies are not, so no program reaches the
floor. P is the body's weights (12 L d^2), V d those of the logits, T = Q + k R the positions of a shared row.
"""

import time
from collections.abc import Callable

import torch

from bench.speed.shapes import SHAPES, VOCABULARY
from models.lm.precision import precision

K = 4
ADAM_BYTES = 28  # reads weight, gradient and two moments, writes weight and two moments, in fp32
EPOCHS = 4


def _best(work: Callable[[], object], runs: int = 7) -> float:
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def product_rate(width: int, dtype: torch.dtype, columns: int, rows: int = 640) -> float:
    """Measure operations a second of [rows, width] @ [width, columns]."""
    left, right = torch.randn(rows, width).to(dtype), torch.randn(columns, width).to(dtype)
    return 2 * rows * width * columns / _best(lambda: torch.nn.functional.linear(left, right))


def byte_rate() -> float:
    """Measure bytes a second of adding one large tensor to another: two are read, one is written."""
    left, right = torch.ones(50_000_000), torch.ones(50_000_000)
    return 12 * len(left) / _best(lambda: left.add_(right))


class Machine:
    """The rates that the floor of one shape is computed with."""

    def __init__(self, shape: str) -> None:
        self.layers, self.width, _ = SHAPES[shape]
        dtype = torch.bfloat16 if precision("cpu") == "bf16" else torch.float32
        self.body_rate = product_rate(self.width, dtype, 4 * self.width)
        self.logit_rate = product_rate(self.width, torch.float32, VOCABULARY, rows=96)
        self.byte_rate = byte_rate()
        self.body = 12 * self.layers * self.width**2
        self.logits = VOCABULARY * self.width

    def forward(self, positions: float, seen: float) -> float:
        """Seconds of one pass of the body over `positions`, each looking at `seen` others on average."""
        return 2 * positions * (self.body + 2 * self.layers * seen * self.width) / self.body_rate

    def logit_operations(self, count: float) -> float:
        return 2 * count * self.logits

    def optimizer(self) -> float:
        return ADAM_BYTES * (self.body + self.logits) / self.byte_rate

    def floor(self, work: str, query: int, response: int, batch: int) -> float:
        """Seconds for one question (reward), episode (ppo) or new token (sampling)."""
        row = query + K * response
        seen = (query * query / 2 + K * response * (query + response / 2)) / row
        scoring, read = self.forward(row, seen), self.logit_operations(K * response)
        once = scoring + read / self.logit_rate
        if work == "reward":
            return 3 * scoring + self.optimizer() / batch
        if work == "ppo":  # the two products of a gradient are in the body's precision
            learning = 3 * scoring + read / self.logit_rate + 2 * read / self.body_rate
            return (2 * once + scoring + EPOCHS * learning) / K + EPOCHS * self.optimizer() / batch
        return once / (K * response)
