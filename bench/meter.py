"""What one piece of work costs: seconds of wall and of CPU, and the most memory the process ever held."""

import json
import resource
import time
from collections.abc import Callable

from tqdm import tqdm

Cost = dict[str, float]


def cost_of(amount: int, work: Callable[[], object]) -> Cost:
    """Do the work once and return what it cost."""
    tqdm.disable = True
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    spent = {"amount": amount, "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    return spent | {"peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}


def report(cost: Cost) -> None:
    """Print a cost as the last line of this process, where `bench.versus` reads it."""
    print(json.dumps(cost), flush=True)
