"""What one piece of work costs: seconds of wall and of CPU, and the most memory the process ever held."""

import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

Cost = dict[str, float]


def cost_of(amount: int, work: Callable[[], object]) -> Cost:
    """Do the work once and return what it cost."""
    tqdm.disable = True
    wall, cpu = time.perf_counter(), _cpu()
    work()
    spent = {"amount": amount, "wall": time.perf_counter() - wall, "cpu": _cpu() - cpu}
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    return spent | {"peak_gb": own_peak(), "child_peak_gb": children}


def own_peak() -> float:
    """Return the most memory, in GB, that this process ever held.

    What getrusage says of a process begins with what its parent held when it started it, and is no measure here.
    """
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e9


def _cpu() -> float:
    """Return the CPU seconds of this process and of its children that ended."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def report(cost: Cost) -> None:
    """Print a cost as the last line of this process, where `bench.speed.compare` reads it."""
    print(json.dumps(cost), flush=True)
