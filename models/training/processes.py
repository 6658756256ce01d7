"""Several processes that train one model: each works on a share of every batch, and all take the same step.

What must be global is made global before anything is computed from it: rollouts are gathered, so whitening, the KL
controller and normalisation see the whole batch, and gradients are summed, each process having divided by the global
count. So two processes give what one gives, up to the order of a sum (tests/models/test_processes.py). accelerate knows
the backend and the ranks, from `accelerate launch`; alone, everything here does nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import gather
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

T = TypeVar("T")


class Processes:
    """This process among all that train together."""

    def __init__(self) -> None:
        self.state = PartialState(cpu=not torch.cuda.is_available())  # gloo, where accelerate looks for GPUs only
        self.rank = self.state.process_index
        self.count = self.state.num_processes
        self.is_main = self.rank == 0

    def wait(self) -> None:
        """Wait until all processes are here."""
        self.state.wait_for_everyone()

    def broadcast(self, number: int) -> int:
        """Return the first process's number, on every process."""
        if self.count == 1:
            return number
        told = torch.tensor([number], device=self.state.device)
        torch.distributed.broadcast(told, 0)
        return int(told)

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Return this process's contiguous part of a batch: its turn to work, not a part of the result."""
        size = -(-len(items) // self.count)
        return items[self.rank * size : (self.rank + 1) * size]

    def micro_batches(self, batch: Sequence[T], size: int) -> Iterator[tuple[Sequence[T], float]]:
        """Yield this process's share of a batch in pieces, as many on every process, each with 1, or 0 if not its turn.

        A process with less to do computes a piece that counts for nothing: the others may need it for theirs.
        """
        mine = self.share(batch)
        for start in range(0, -(-len(batch) // self.count), size):
            piece = mine[start : start + size]
            yield (piece, 1.0) if piece else (batch[:1], 0.0)

    def share_rows(self, tensor: Tensor) -> Tensor:
        """`share` for the rows of a tensor, whose number all processes must divide."""
        return tensor.chunk(self.count)[self.rank] if self.count > 1 else tensor

    def gather_ragged(self, rows: Tensor, total: int) -> Tensor:
        """`gather` for shares of `share`, of which the last ones may be shorter: returns the `total` rows."""
        if self.count == 1:
            return rows
        size = -(-total // self.count)
        padded = torch.cat([rows, rows.new_zeros(size - len(rows), *rows.shape[1:])]) if len(rows) < size else rows
        full = [min(size, max(0, total - rank * size)) for rank in range(self.count)]
        parts = self.gather(padded).split(size)
        return torch.cat([part[:n] for part, n in zip(parts, full, strict=True)])

    def gather(self, rows: Tensor) -> Tensor:
        """Put the rows of all processes together, in order; the same on every process."""
        if self.count == 1:
            return rows
        together: Tensor = gather(rows.contiguous())
        return together

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum the gradients over all processes, in one message; weights in parts have summed theirs (sharding.py)."""
        if self.count == 1:
            return
        wanted = [p for p in parameters if p.requires_grad and not isinstance(p, DTensor)]
        for parameter in wanted:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        grads = [parameter.grad for parameter in wanted if parameter.grad is not None]
        flat = torch.cat([grad.flatten() for grad in grads])
        torch.distributed.all_reduce(flat)
        for grad, total in zip(grads, flat.split([grad.numel() for grad in grads]), strict=True):
            grad.copy_(total.view_as(grad))


@cache
def processes() -> Processes:
    """Return this process among all that train together: joined once, at the first call."""
    return Processes()
