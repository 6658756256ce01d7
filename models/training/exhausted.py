"""Memory that runs out while a training takes a step: the state is saved, and one line says what would fit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn

from data.errors import Refused, out_of_memory
from data.runs.checkpoints import Checkpoints
from models.training.adam import Adam
from models.training.checkpoint import save_state
from models.training.processes import processes


class SizeLimit(NamedTuple):
    """A setting of how many rows are in memory together, its value, and how many of at most so many rows would fit."""

    setting: str
    now: int
    fitting: Callable[[int], int]

    def advice(self) -> str:
        """Return what to do: a smaller value, or a smaller row if one is too much."""
        if self.now == 1:
            return "One row does not fit. Use shorter texts, fewer responses to a query, or a smaller base."
        fit = self.fitting(self.now // 2)
        return f"{self.setting} is {self.now}, and {fit} would fit. Set it, and run the same command again."


@contextmanager
def saved_if_memory_runs_out(
    checkpoints: Checkpoints | None,
    step: int,
    model: nn.Module,
    optimizer: Adam,
    facts: dict[str, Any],
    limit: SizeLimit,
) -> Iterator[None]:
    """If memory runs out inside, save the state after `step` steps and raise Refused what would fit.

    The state is as it was, unless the optimizer has stepped; then the last checkpoint stays the newest one. One of
    several processes cannot save alone.
    """
    before = optimizer.steps
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        optimizer.torch.zero_grad(set_to_none=True)
        exhausted = True
    else:
        exhausted = False
    if exhausted:  # the traceback, which holds the tensors of the step, is gone
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if optimizer.steps == before and processes().count == 1:
            save_state(checkpoints, step, model, optimizer, facts, now=True)
        raise Refused(f"Memory ran out at step {step}, and the training continues from there. {limit.advice()}")
