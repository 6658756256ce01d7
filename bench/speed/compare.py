"""Andon compared with TRL, in one run: `make bench-peer`. docs/performance.md has the results.

Every piece of work runs in a process of its own with one thread, ours and the peer's in turn, five times. Rates are
medians, the factor is the median of the five quotients; seconds of CPU, so that a busy machine disturbs little.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from bench.arguments import parser
from bench.meter import Cost
from bench.speed.roofline import Machine

RUNS = 5
PEER = Path(".venv-peer")
EPISODES = {"tiny": 64, "124m": 16}
# work of Andon, of TRL, shape, query and response length, factor to reach, unit
ROWS = [
    ("reward", "reward", "tiny", 64, 24, 8.0, "questions"),
    ("reward", "reward-tuned", "tiny", 64, 24, None, "questions"),
    ("ppo", "ppo", "tiny", 64, 24, 6.0, "episodes"),
    ("sampling", "sampling", "tiny", 64, 24, 3.0, "tokens"),
    ("sampling", "sampling", "tiny", 500, 75, 4.0, "tokens"),
    ("reward", "reward", "124m", 64, 24, 3.5, "questions"),
    ("reward", "reward-tuned", "124m", 64, 24, None, "questions"),
    ("ppo", "ppo", "124m", 64, 24, 4.0, "episodes"),
    ("sampling", "sampling", "124m", 64, 24, 3.0, "tokens"),
    ("sampling", "sampling", "124m", 500, 75, 4.0, "tokens"),
]

HEADER = (
    "| work | model | query, response | peer, a CPU second | ours | factor | to reach | floor | share of it "
    "| peak GB, peer | ours |"
)


def run(side: str, work: str, shape: str, query: int, response: int) -> Cost:
    """Run one piece of work in a process of its own with one thread."""
    python = str(PEER / "bin" / "python") if side == "trl_side" else sys.executable
    # The last TRL with a PPOTrainer is installed next to the one with today's RewardTrainer.
    path = [str(PEER / "trl-1.12")] if work == "ppo" and side == "trl_side" else []
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([*path, "."]),
        "HF_HUB_OFFLINE": "1",
        "TRL_EXPERIMENTAL_SILENCE": "1",
    }
    done = subprocess.run(
        [python, "-m", f"bench.speed.{side}", work, shape, str(query), str(response)],
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"bench.speed.{side} {work} {shape} failed:\n{done.stderr[-2000:]}")
    cost: Cost = json.loads(done.stdout.splitlines()[-1])
    return cost


def main(only: list[str]) -> None:
    machines = {shape: Machine(shape) for shape in ("tiny", "124m")}
    for shape, machine in machines.items():
        rates = f"{machine.body_rate / 1e9:.0f} Gflop/s in the body, {machine.logit_rate / 1e9:.0f} in the logits"
        print(f"{shape}: {rates}, {machine.byte_rate / 1e9:.1f} GB/s", flush=True)
    print(HEADER)
    print("|" + "---|" * 11, flush=True)
    for andon, trl, shape, query, response, reach, unit in ROWS:
        if only and not {andon, shape, f"{andon}-{shape}"} & set(only):
            continue
        pairs = [
            (run("andon_side", andon, shape, query, response), run("trl_side", trl, shape, query, response))
            for _ in range(RUNS)
        ]
        mine, theirs = ([cost["amount"] / cost["cpu"] for cost in side] for side in zip(*pairs, strict=True))
        factor = statistics.median(a / b for a, b in zip(mine, theirs, strict=True))
        batch = EPISODES[shape] if andon == "ppo" else 8
        floor = 1 / machines[shape].floor(andon, query, response, batch)
        peak_mine, peak_theirs = (max(cost["peak_gb"] for cost in side) for side in zip(*pairs, strict=True))
        print(
            f"| {trl}, {unit} | {shape} | {query}, {response} | {statistics.median(theirs):,.2f} "
            f"| {statistics.median(mine):,.2f} | {factor:.1f} | {reach or ''} | {floor:,.1f} "
            f"| {statistics.median(mine) / floor:.0%} | {peak_theirs:.1f} | {peak_mine:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    arguments = parser("bench.speed.compare", __doc__)
    arguments.add_argument(
        "only",
        nargs="*",
        metavar="WORK",
        help="only these, as in ppo, 124m or ppo-124m",
    )
    main(arguments.parse_args().only)
