"""What one of two processes holds while it trains, with whole weights and in parts: `make bench-sharded`.

A reward model of GPT-2's shape (124M, random weights) takes four steps, started by both configurations of accelerate.
Freed memory goes back to the system at once, else the peak would be that of what glibc keeps.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from bench.arguments import parser

RETURNED = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
CONFIGS = Path(__file__).resolve().parents[2] / "deploy" / "accelerate"


def train() -> None:
    """The work of each process; prints what is trained here and the peak of memory."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from bench.meter import own_peak
    from data.campaign import load_campaign
    from models.reward.model import new_reward_model, train_reward_model
    from models.reward.preferences import best_of
    from models.training.processes import Processes
    from models.training.sharding import shard

    base = GPT2LMHeadModel(GPT2Config()).eval().requires_grad_(False)
    draw = torch.Generator().manual_seed(0)
    rows = [best_of([5] * 32, torch.randint(100, 400, (4, 24), generator=draw).tolist(), i % 4) for i in range(32)]
    model = new_reward_model(base, 0)
    settings = load_campaign("sentiment").reward.model_copy(update={"batch": 8, "micro_batch": 2})
    train_reward_model(model, rows, settings, 0)
    peak = own_peak()
    parts = shard(model)
    local = sum(p.to_local().numel() if hasattr(p, "to_local") else p.numel() for p in parts.parameters())
    if Processes().is_main:
        print(f"| {16 * local / 1e9:.2f} GB | {peak:.2f} GB |")


def main() -> None:
    environment = {**os.environ, **RETURNED}
    print("| configuration | weights, gradients, moments | peak of the process |\n|---|---|---|")
    for config in ("many-gpus.yaml", "sharded.yaml"):
        launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(CONFIGS / config)]
        command = [*launcher, "-m", "bench.speed.sharded", "--train"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        print(f"| {config} {done.stdout.splitlines()[-1]}", flush=True)


if __name__ == "__main__":
    arguments = parser("bench.speed.sharded", __doc__)
    arguments.add_argument("--train", action="store_true", help=argparse.SUPPRESS)
    train() if arguments.parse_args().train else main()
