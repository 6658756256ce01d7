"""Several processes that train one model: each works on a share of every batch, and all take the same step.

Global values are computed from the whole batch. Rollouts are gathered before whitening, the KL controller and
normalisation. Each process divides its gradients by the global count before they are summed. So two processes give the
result of one, except for the order of sums (tests/models/test_processes.py). `accelerate launch` sets the backend and
the ranks; in a single process all functions here do nothing. A process has at most its share of the cores as threads.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import gather
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from models.training.control_groups import cores

T = TypeVar("T")


class Processes:
    """This process and its place among the processes of a training."""

    def __init__(self) -> None:
        self.state = PartialState(cpu=not torch.cuda.is_available())  # with cpu, accelerate uses gloo
        self.rank = self.state.process_index
        self.count = self.state.num_processes
        here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # processes of this training on this machine
        torch.set_num_threads(max(1, min(torch.get_num_threads(), cores() // here)))
        self.is_main = self.rank == 0

    def wait(self) -> None:
        """Wait until all processes are here."""
        self.state.wait_for_everyone()

    def broadcast(self, number: int) -> int:
        """Return the number of the first process on every process."""
        if self.count == 1:
            return number
        shared = torch.tensor([number], device=self.state.device)
        torch.distributed.broadcast(shared, 0)
        return int(shared)

    def smallest(self, number: int) -> int:
        """Return the smallest number of all processes."""
        if self.count == 1:
            return number
        return int(self.gather(torch.tensor([number], device=self.state.device)).min())

    def of_the_first(self, tensor: Tensor) -> Tensor:
        """Return the tensor of the first process on every process; its shape is the same on all of them."""
        if self.count == 1:
            return tensor
        shared = tensor.contiguous()
        torch.distributed.broadcast(shared, 0)
        return shared

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Return this process's contiguous part of a batch."""
        size = -(-len(items) // self.count)
        return items[self.rank * size : (self.rank + 1) * size]

    def micro_batches(self, batch: Sequence[T], size: int) -> Iterator[tuple[Sequence[T], float]]:
        """Yield this process's share of a batch in pieces, equally many on every process, each with the weight 1.

        A process with fewer pieces gets further ones with the weight 0, because all processes must run as many forward
        passes.
        """
        mine = self.share(batch)
        for start in range(0, -(-len(batch) // self.count), size):
            piece = mine[start : start + size]
            yield (piece, 1.0) if piece else (batch[:1], 0.0)

    def share_rows(self, tensor: Tensor) -> Tensor:
        """Return this process's share of the rows of a tensor, whose number must be a multiple of the processes."""
        return tensor.chunk(self.count)[self.rank] if self.count > 1 else tensor

    def gather_ragged(self, rows: Tensor, total: int) -> Tensor:
        """Return all `total` rows of shares of `share`, of which the last ones may be shorter."""
        if self.count == 1:
            return rows
        size = -(-total // self.count)
        padded = torch.cat([rows, rows.new_zeros(size - len(rows), *rows.shape[1:])]) if len(rows) < size else rows
        full = [min(size, max(0, total - rank * size)) for rank in range(self.count)]
        parts = self.gather(padded).split(size)
        return torch.cat([part[:n] for part, n in zip(parts, full, strict=True)])

    def gather(self, rows: Tensor) -> Tensor:
        """Return the rows of all processes, in order, on every process."""
        if self.count == 1:
            return rows
        together: Tensor = gather(rows.contiguous())
        return together

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum the gradients over all processes in one message. Gradients of sharded weights are summed by FSDP."""
        if self.count == 1:
            return
        whole = [p for p in parameters if p.requires_grad and not isinstance(p, DTensor)]
        for parameter in whole:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        grads = [parameter.grad for parameter in whole if parameter.grad is not None]
        flat = torch.cat([grad.flatten() for grad in grads])
        torch.distributed.all_reduce(flat)
        for grad, total in zip(grads, flat.split([grad.numel() for grad in grads]), strict=True):
            grad.copy_(total.view_as(grad))


@cache
def processes() -> Processes:
    """Return this process's place; the first call joins the other processes."""
    return Processes()
