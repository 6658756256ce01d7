"""The machine that trainings run on: device, threads, precision."""

from typing import NamedTuple

import torch

from data.runs.step_facts import Circumstances
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


def circumstances(recompute: bool) -> Circumstances:
    """Return the facts of the machine and of this process that the manifest of a training records."""
    kind, threads = best_device().type, torch.get_num_threads()
    return {"device": kind, "precision": precision(kind), "threads": threads, "gradient_checkpointing": recompute}
