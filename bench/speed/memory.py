"""How far the estimates of models/lm/memory.py are from the memory that work takes, on the CPU.

Each row is measured in a process of its own: the largest amount above what the process held before. Linux only.
"""

import subprocess
import sys
from pathlib import Path

WORK = (
    ("sampling", "tiny", 64, 64, 24),
    ("sampling", "124m", 16, 300, 75),
    ("training", "124m", 8, 64, 24),
    ("training with gradient checkpointing", "124m", 8, 64, 24),
)  # work, shape, queries, tokens of a query, tokens of each of four responses
K = 4


def held(name: str) -> float:
    """Return VmRSS, what this process holds, or VmHWM, the most that it held, in GB."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024 / 1e9


def measure(row: int) -> None:
    """Print the estimate and the measured memory of a row of WORK."""
    import torch

    from bench.speed.shapes import language_model
    from data.campaign import load_campaign
    from models.lm.layout import layout_of
    from models.lm.memory import shape_of
    from models.lm.sampling import draw_noise, sample
    from models.ppo.policy import PolicyModel
    from models.training.recompute import recompute

    work, shape, queries, width, length = WORK[row]
    model = language_model(shape, "gelu_pytorch_tanh").eval().requires_grad_(False)
    layout_of(model.transformer)
    text = load_campaign("sentiment").text.model_copy(update={"response_tokens": length})
    contexts = torch.randint(1, 5000, (queries, width))
    noise = draw_noise(queries, K, text, torch.Generator().manual_seed(0))
    sizes, tokens = shape_of(model), torch.randint(1, 5000, (queries, K, length))
    policy, checkpointing = PolicyModel(model), "checkpointing" in work
    if checkpointing:
        recompute(policy)

    def run(count: int) -> None:
        if work == "sampling":
            sample(model, contexts[:count], noise[:count], text)
            return
        logprobs, values, _ = policy(contexts[:count], tokens[:count], 1.0)
        (logprobs.sum() + values.sum()).backward()

    run(1)  # gradients and buffers that stay
    before = held("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # from here on, VmHWM is of what follows
    run(queries)
    if work == "sampling":
        estimate = sizes.sampling(width, K, length)
    else:
        estimate = sizes.training(width + K * length, K * length, checkpointing)
    kind = f"{work}, {shape}, {queries} queries of {width}, {K} x {length} tokens"
    print(f"{kind:80} estimate {queries * estimate / 1e9:5.2f} GB, measured {held('VmHWM') - before:5.2f} GB")


def main() -> None:
    for row in range(len(WORK)):
        subprocess.run([sys.executable, "-m", "bench.speed.memory", "--row", str(row)], check=True)


if __name__ == "__main__":
    from bench.arguments import parser

    arguments = parser("bench.speed.memory", __doc__)
    arguments.add_argument("--row", type=int, help="measure one row in this process, as this program starts it")
    chosen = arguments.parse_args().row
    main() if chosen is None else measure(chosen)
