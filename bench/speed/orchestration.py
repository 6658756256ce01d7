"""What the orchestration itself costs: a round whose steps are all published, on a server with SQLite.

    python -m bench.speed.orchestration [--repeats 5]

The same flow, `batch_round`, on a round that is done: every task looks at a manifest and returns. Wall seconds of the
flow, and of each of its tasks, from this process to a server on this machine that has started up.
"""

import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.arguments import parser
from data.campaign.campaign import SHIPPED
from flows.cli.environment import prepare
from flows.local_server import Platform

TINY = """
[presets.tiny]
batch = {questions = 24}
reward = {batch = 4, normalisation_samples = 64}
policy = {episodes = 64, batch = 32}
evaluation = {queries = 16, best_of = 0}
"""


def cpu_s() -> float:
    """CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(repeats: int) -> None:
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as folder:
        running = Platform(Path(folder), f"{folder}/store")
        try:
            began = time.monotonic()
            running.start()
            sys.stdout.write(f"server up            {time.monotonic() - began:.1f} s\n")
            os.environ.update({"PREFECT_HOME": folder, "PREFECT_API_URL": running.environment["PREFECT_API_URL"]})
            prepare(f"{folder}/store")
            from prefect import flow, task
            from prefect.cache_policies import NO_CACHE

            @task(cache_policy=NO_CACHE)
            def nothing(number: int) -> int:
                return number

            @flow
            def steps(count: int) -> None:
                for number in range(count):
                    nothing(number)

            from flows.batch_round import batch_round

            steps(1)
            one, hundred = _timed(lambda: steps(1), repeats), _timed(lambda: steps(101), repeats)
            sys.stdout.write(f"a flow of one step   {one[0]:.2f} s, {one[1]:.2f} CPU s\n")
            sys.stdout.write(f"a step more          {(hundred[0] - one[0]) / 100 * 1000:.1f} ms\n")
            store = f"{folder}/store"
            file = Path(folder) / "tiny.toml"
            file.write_text((SHIPPED / "sentiment.toml").read_text() + TINY)
            batch_round(str(file), store, preset="tiny", round_number=1)
            done = _timed(lambda: batch_round(str(file), store, preset="tiny", round_number=1), repeats)
            sys.stdout.write(f"a round that is done {done[0]:.2f} s, {done[1]:.2f} CPU s\n")
        finally:
            running.stop()


def _timed(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return the medians of wall and CPU seconds."""
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.monotonic(), cpu_s()
        work()
        walls.append(time.monotonic() - wall)
        cpus.append(cpu_s() - cpu)
    return statistics.median(walls), statistics.median(cpus)


if __name__ == "__main__":
    arguments = parser("bench.speed.orchestration", __doc__)
    arguments.add_argument("--repeats", type=int, default=5, help="runs of each measurement (%(default)s)")
    main(arguments.parse_args().repeats)
