"""What trainings run on here: device, threads, precision."""

import os
from typing import NamedTuple

import torch

from models.lm.base import best_device
from models.lm.precision import precision


class Machine(NamedTuple):
    device: str
    precision: str
    threads: int  # of one process
    cores: int  # that this process may use


def this_machine() -> Machine:
    """Describe the machine as a training in this process would find it."""
    kind = best_device().type
    return Machine(kind, precision(kind), torch.get_num_threads(), len(os.sched_getaffinity(0)))
