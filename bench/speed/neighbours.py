"""What busy neighbours cost. A PPO update of the embedded base on a quiet machine, and with a busy process a core.

Each measurement runs in a process of its own: one update of 16 episodes to warm up, and five to measure. `as set` is
how threads wait in Andon (models/__init__.py), the others are settings of libgomp. The machine must be quiet before.
"""

import os
import statistics
import subprocess
import sys
import time
from itertools import islice

WAITING: dict[str, dict[str, str]] = {
    "as set": {},
    "actively": {"GOMP_SPINCOUNT": "300000"},  # libgomp's default
    "passively": {"OMP_WAIT_POLICY": "passive"},
}
RUNS = 5


def measure() -> None:
    """Print the median seconds of wall and of CPU of an update."""
    from data.campaign import load_campaign
    from data.campaign.queries import load_queries
    from models.lm.base import open_base
    from models.ppo.train import train_policy
    from models.reward.model import new_reward_model

    campaign, base = load_campaign("sentiment"), open_base("embedded")
    prompts = base.prompts(campaign.text)
    encoded = (prompts.encode(query.text) for query in islice(load_queries(campaign.text, "train"), 64))
    queries = [tokens for tokens in encoded if tokens]
    scored = new_reward_model(base.model, 0).requires_grad_(False)
    settings = campaign.policy.model_copy(update={"episodes": 16, "batch": 16})
    wall, cpu = [], []
    for _ in range(1 + RUNS):
        began, busy = time.perf_counter(), time.process_time()
        train_policy(settings, prompts, base.model, scored, queries, 0)
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - busy)
    print(statistics.median(wall[1:]), statistics.median(cpu[1:]))


def measured(waiting: dict[str, str], neighbours: int) -> list[float]:
    """Return seconds of wall and of CPU of an update, measured next to as many busy processes."""
    clean = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(neighbours)]
    try:
        child = [sys.executable, "-m", "bench.speed.neighbours", "--measure"]
        done = subprocess.run(child, env=clean | waiting, stdout=subprocess.PIPE, text=True, check=True)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    return [float(number) for number in done.stdout.split()]


def main() -> None:
    from models.training.control_groups import cores

    count = cores()
    print(f"{count} cores, load average {os.getloadavg()[0]:.1f}")
    print("threads wait   quiet: wall   CPU     busy: wall   CPU     busy / quiet")
    for name, waiting in WAITING.items():
        (quiet, quiet_cpu), (crowded, crowded_cpu) = measured(waiting, 0), measured(waiting, count)
        print(
            f"{name:12} {quiet:10.2f} s {quiet_cpu:6.2f} s {crowded:9.2f} s {crowded_cpu:6.2f} s {crowded / quiet:8.1f}"
        )


if __name__ == "__main__":
    from bench.arguments import parser

    arguments = parser("bench.speed.neighbours", __doc__)
    arguments.add_argument("--measure", action="store_true", help="measure one process, as this program starts it")
    measure() if arguments.parse_args().measure else main()
