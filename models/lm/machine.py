"""The machine that trainings run on: device, threads, precision."""

from typing import NamedTuple

import torch

from models.lm.base import best_device
from models.lm.precision import precision
from models.training.control_groups import cores


class Machine(NamedTuple):
    device: str
    precision: str
    threads: int  # threads of one process
    cores: int  # cores that this process may use


def this_machine() -> Machine:
    """Return what a training in this process would use."""
    kind = best_device().type
    return Machine(kind, precision(kind), torch.get_num_threads(), cores())
