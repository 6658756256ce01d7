"""A training whose weights lie in parts on all processes: FSDP, for models of which one GPU cannot hold a training.

What is trained takes 16 bytes a parameter: weights, gradients and Adam's two moments. Here every process keeps its part
of those of every transformer block, and holds a whole block only while it computes with it. Embeddings and heads stay
whole, and so do the frozen reference and reward model, at 4 bytes a parameter. `accelerate launch` with a configuration
of `distributed_type: FSDP` asks for it; otherwise everything here does nothing.
"""

import copy
import os
from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import PreTrainedModel

from models.training.processes import processes

Model = TypeVar("Model", bound=nn.Module)


def sharded() -> bool:
    """Say whether trainings keep their weights in parts."""
    return processes().count > 1 and os.environ.get("ACCELERATE_USE_FSDP") == "true"


def shard(model: Model) -> Model:
    """Return what is trained in the model's place: itself, or a copy in parts, while the model waits on the processor.

    `unshard` ends it. All processes must run the same forward passes, for every block is put together by all of them.
    """
    if not sharded():
        return model
    parts = copy.deepcopy(model)
    mesh = init_device_mesh(next(model.parameters()).device.type, (processes().count,))
    model.to("cpu")
    for block in blocks(parts):
        unit = fully_shard(block, mesh=mesh, reshard_after_forward=True)
        unit.set_gradient_divide_factor(1.0)  # the sum: each process has divided by the global count
        unit.set_force_sum_reduction_for_comms(True)  # gloo knows no other
    return parts


@torch.no_grad()
def unshard(parts: Model, model: Model) -> Model:
    """Put what was trained back into the model that `shard` was given, and return it."""
    if parts is model:
        return model
    for trained, parameter in zip(parts.parameters(), model.parameters(), strict=True):
        parameter.copy_(full(trained))
    return model.to(next(parts.parameters()).device)


def blocks(model: nn.Module) -> Iterator[nn.Module]:
    """Yield the transformer blocks of all language models in a module, as transformers names them."""
    models = [each for each in model.modules() if isinstance(each, PreTrainedModel)]
    named = {name for each in models for name in each._no_split_modules or ()}
    return (each for each in list(model.modules()) if type(each).__name__ in named)


def full(tensor: Tensor) -> Tensor:
    """Return a tensor put together from its parts; all processes must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def as_parts(tensor: Tensor, like: Tensor) -> Tensor:
    """Return a whole tensor, the same on every process, in parts where `like` lies in parts, and on its device."""
    tensor = tensor.to(like.device)
    return distribute_tensor(tensor, like.device_mesh, like.placements) if isinstance(like, DTensor) else tensor
