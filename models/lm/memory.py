"""Memory: how much is free, and how much a row of sampling, scoring or training needs by the shape of the model.

The estimates are coarse, and a fifth of the free memory is left to what they miss. Whatever still does not fit is tried
again in smaller pieces (models/lm/pieces.py), or ends in one line (models/training/exhausted.py).
"""

import ctypes
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import PreTrainedModel

from data.console import say
from models.lm.precision import precision
from models.training.control_groups import free_memory
from models.training.processes import processes
from models.training.sharding import blocks, sharded

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # <malloc.h>
SHARE = 0.8  # of the free memory that an estimate may fill
LOGITS = 4  # tensors of all logits that are in memory together when tokens are drawn


def keep_freed_memory() -> None:
    """Tell glibc not to return freed blocks to the system; without glibc do nothing.

    By default glibc maps and unmaps every large tensor, and the kernel clears each page again. This costs three million
    page faults in six updates of PPO on the embedded base, and a seventh of their time (docs/performance.md).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def free_bytes(device: torch.device) -> int:
    """Return the bytes that this process can still use on a device, with those that its allocator keeps."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    lines = Path("/proc/meminfo").read_text("ascii").splitlines() if Path("/proc/meminfo").exists() else []
    limits = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    if (limit := free_memory()) is not None:
        limits.append(limit)
    return min(limits, default=2**63) + _kept_by_glibc()


class _Mallinfo2(ctypes.Structure):
    _fields_ = (("sizes", ctypes.c_size_t * 10),)  # <malloc.h>


def _kept_by_glibc() -> int:
    """Return the bytes of freed blocks that this process keeps (`keep_freed_memory`)."""
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except (OSError, AttributeError):  # not glibc, or one before 2.33
        return 0
    mallinfo2.restype = _Mallinfo2
    return int(mallinfo2().sizes[8])  # fordblks


class Shape(NamedTuple):
    """The sizes of a language model that decide about memory."""

    layers: int
    width: int
    keys: int  # numbers in the key of one position, over all heads of a layer
    inner: int  # width between the two products of a layer
    vocabulary: int
    number: int  # bytes of a number that the precision rounds

    def sampling(self, query: int, k: int, length: int) -> int:
        """Return the bytes that sampling k responses to a query needs: the key-value cache, logits, and the prefill."""
        columns = query + k * length
        cache = 2 * self.layers * self.keys * columns * self.number
        copies = 4 * self.keys * columns * self.number  # of one layer, while a column is added
        return cache + copies + 4 * LOGITS * k * self.vocabulary + self.scoring(query)

    def scoring(self, tokens: int) -> int:
        """Return the bytes of a row of tokens whose states are computed and not kept."""
        return 4 * tokens * (6 * self.width + 3 * self.inner + tokens)

    def training(self, tokens: int, predicted: int, recomputed: bool = False) -> int:
        """Return the bytes of a row that is kept for its gradients: activations, and `predicted` rows of logits."""
        of_layer = self.number * (12 * self.width + 3 * self.inner)
        kept = of_layer * self.layers
        if recomputed:
            kept = min(kept, self.number * self.width * self.layers + 2 * of_layer)
        return tokens * kept + predicted * self.number * self.vocabulary + self.scoring(tokens)


def shape_of(model: PreTrainedModel) -> Shape:
    """Return the shape of a model, as its configuration has it, with the usual ratios for what it leaves out."""
    config: Any = model.config.get_text_config()
    width = int(config.hidden_size)
    heads = int(getattr(config, "num_attention_heads", None) or 1)
    groups = getattr(config, "num_key_value_heads", None) or heads
    head = getattr(config, "head_dim", None) or width // heads
    inner = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None) or 4 * width
    number = 4 if precision(next(model.parameters()).device.type) == "fp32" else 2
    layers = int(getattr(config, "num_hidden_layers", None) or 1)
    sizes = (max(value) if isinstance(value, list) else value for value in (groups, head, inner))
    groups, head, inner = (int(size) for size in sizes)
    return Shape(layers, width, groups * head, inner, int(config.vocab_size), number)


def fitting(device: torch.device, row: int, most: int, besides: int = 0) -> int:
    """Return how many rows of `row` bytes fit into the free memory, next to `besides`: at least 1, at most `most`."""
    return max(1, min(most, (int(SHARE * free_bytes(device)) - besides) // max(1, row)))


def must_recompute(model: PreTrainedModel, rows: int, tokens: int, predicted: int, copies: int = 1) -> bool:
    """Return whether a micro-batch fits into memory only with gradient checkpointing, on one process at least.

    `copies` of the model are trained: 16 bytes a parameter for weights, gradients and the moments of Adam.
    """
    device = next(model.parameters()).device
    state = 16 * copies * model.num_parameters() // (processes().count if sharded() else 1)
    row = copies * shape_of(model).training(tokens, predicted)
    fits = processes().smallest(fitting(device, row, rows, state))
    needed = fits < rows and next(blocks(model), None) is not None
    if needed:
        say(f"memory: {rows} rows at once do not fit, so activations are computed again (gradient checkpointing)")
    return needed
