"""Sharding by FSDP: weights are divided among all processes, for models whose training does not fit into one GPU.

A trained model takes 16 bytes a parameter: weights, gradients and Adam's two moments. Every process keeps its part of
every transformer block, and has a whole block only while it computes with it. Embeddings and heads stay whole. So do
the frozen reference and reward model, at 4 bytes a parameter. `accelerate launch` with a configuration of
`distributed_type: FSDP` turns it on; otherwise all functions here do nothing.
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
    """Return whether trainings shard their weights."""
    return processes().count > 1 and os.environ.get("ACCELERATE_USE_FSDP") == "true"


def shard(model: Model) -> Model:
    """Return the module to train: the model itself, or a sharded copy, while the original is on the processor.

    `unshard` writes the result back. All processes must run the same forward passes, because they assemble every block
    together.
    """
    if not sharded():
        return model
    parts = copy.deepcopy(model)
    mesh = init_device_mesh(next(model.parameters()).device.type, (processes().count,))
    model.to("cpu")
    for block in blocks(parts):
        unit = fully_shard(block, mesh=mesh, reshard_after_forward=True)
        unit.set_gradient_divide_factor(1.0)  # the sum: each process has divided by the global count
        unit.set_force_sum_reduction_for_comms(True)  # gloo supports no other reduction
    return parts


@torch.no_grad()
def unshard(parts: Model, model: Model) -> Model:
    """Copy the trained weights back into the model that `shard` was given, and return it."""
    if parts is model:
        return model
    for trained, parameter in zip(parts.parameters(), model.parameters(), strict=True):
        parameter.copy_(full(trained))
    return model.to(next(parts.parameters()).device)


def blocks(model: nn.Module) -> Iterator[nn.Module]:
    """Yield the transformer blocks of all language models in a module, as transformers names them."""
    models = [module for module in model.modules() if isinstance(module, PreTrainedModel)]
    names = {name for language_model in models for name in language_model._no_split_modules or ()}
    return (module for module in list(model.modules()) if type(module).__name__ in names)


def full(tensor: Tensor) -> Tensor:
    """Return a tensor assembled from its parts. All processes must call this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def as_parts(tensor: Tensor, like: Tensor) -> Tensor:
    """Return a tensor, equal on every process, on the device of `like`, and sharded if `like` is."""
    tensor = tensor.to(like.device)
    return distribute_tensor(tensor, like.device_mesh, like.placements) if isinstance(like, DTensor) else tensor
