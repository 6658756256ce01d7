"""How far estimates of models/lm/memory.py are from the memory that work takes on the CPU, and the memory of queries.

Each row is measured in a process of its own: the largest amount above what the process held before. Linux only.
"""

import random
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
POSTS, POST = 200_000, 420  # queries, and tokens of each


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


def measure_queries(kind: str) -> None:
    """Print the memory of POSTS queries as lists, or as arrays (models/lm/query_list.py), and of the monitor's set."""
    from models.lm.query_list import QueryList
    from models.monitoring.monitor import digest

    draw, before = random.Random(0), held("VmRSS")
    rows = ([draw.randrange(300, 50_000) for _ in range(POST)] for _ in range(POSTS))
    queries = list(rows) if kind == "lists" else QueryList(rows)
    alone = held("VmRSS") - before
    known = {tuple(row) if kind == "lists" else digest(row) for row in queries}
    together = held("VmRSS") - before
    print(
        f"{len(known):,} queries of {POST} tokens as {kind}: {alone:.2f} GB, with the monitor's set {together:.2f} GB"
    )


def main() -> None:
    rows = [("--row", str(row)) for row in range(len(WORK))]
    for option in [*rows, ("--queries", "lists"), ("--queries", "arrays")]:
        subprocess.run([sys.executable, "-m", "bench.speed.memory", *option], check=True)


if __name__ == "__main__":
    from bench.arguments import parser

    arguments = parser("bench.speed.memory", __doc__)
    arguments.add_argument("--row", type=int, help="measure one row in this process, as this program starts it")
    arguments.add_argument("--queries", choices=("lists", "arrays"), help="measure queries in this process")
    chosen = arguments.parse_args()
    if chosen.queries:
        measure_queries(chosen.queries)
    elif chosen.row is not None:
        measure(chosen.row)
    else:
        main()
