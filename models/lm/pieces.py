"""Work on many rows in pieces that fit into the free memory. Only the last bits of a result depend on the pieces."""

from collections.abc import Callable
from typing import TypeVar

import torch

from data.errors import out_of_memory
from models.training.processes import processes

T = TypeVar("T")


def in_pieces(work: Callable[[slice], T], rows: int, piece: int) -> list[T]:
    """Return the results of work on consecutive rows, `piece` at a time; a piece that does not fit is halved.

    All processes take equally large pieces, because they may wait for each other while they work on one.
    """
    group = processes()
    piece, start, results = group.smallest(min(piece, rows)), 0, list[T]()
    while start < rows:
        try:
            results.append(work(slice(start, start + piece)))
            start += piece
            continue
        except (RuntimeError, MemoryError) as error:
            if piece == 1 or group.count > 1 or not out_of_memory(error):
                raise
        piece = -(-piece // 2)  # here the traceback, which holds tensors, is gone
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return results
