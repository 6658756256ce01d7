"""Cost against batch size, response length and k: `python -m bench.speed.scaling docs/performance-scaling.svg`.

Tiny shape, one thread, the median of five passes after one to warm up; the line is the least-squares one.
"""

import statistics
from collections.abc import Callable

import matplotlib
import torch

from bench.arguments import parser
from bench.meter import cost_of
from bench.speed.andon_side import frozen, prompts_of, rules
from bench.speed.shapes import token_rows
from data.campaign.settings import Policy, Reward
from models.lm.memory import keep_freed_memory
from models.ppo.train import train_policy
from models.reward.model import new_reward_model, train_reward_model
from models.reward.preferences import best_of

matplotlib.use("Agg")
from matplotlib import pyplot as plt

RUNS = 5


def reward_step(questions: int, k: int, response: int) -> Callable[[], object]:
    settings = Reward(batch=questions, lr=5e-5, held_out_share=0.1, normalisation_samples=64)
    queries, responses = token_rows(questions, 64), token_rows(questions * k, response, seed=1)
    rows = [best_of(queries[i], responses[i * k : (i + 1) * k], 0) for i in range(questions)]
    model = new_reward_model(frozen("tiny"), 0)
    return lambda: train_reward_model(model, rows, settings, 0)


def ppo_update(queries: int, k: int, response: int) -> Callable[[], object]:
    count = queries * k
    settings = Policy(episodes=count, batch=count, responses_per_query=k, lr=1e-5, kl_coefficient=0.1)
    base = frozen("tiny")
    score = new_reward_model(base, 0).requires_grad_(False)
    rows, prompts = token_rows(queries, 64), prompts_of(rules(64, response))
    return lambda: train_policy(settings, prompts, base, score, rows, 0)


def median_seconds(work: Callable[[], object]) -> float:
    work()
    return statistics.median(cost_of(1, work)["cpu"] for _ in range(RUNS))


def main(path: str) -> None:
    torch.set_num_threads(1)
    keep_freed_memory()
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    for axis, title, points, sizes in (
        (axes[0], "batch, questions or queries", (4, 8, 16, 32), lambda n: (n, 4, 24)),
        (axes[1], "response length, tokens", (12, 24, 48, 96), lambda n: (8, 4, n)),
        (axes[2], "k, responses a query", (2, 4, 6, 8), lambda n: (8, n, 24)),
    ):
        for name, make in (("reward step", reward_step), ("PPO update", ppo_update)):
            seconds = [median_seconds(make(*sizes(n))) for n in points]
            axis.plot(points, seconds, "o", label=name)
            slope, start = statistics.linear_regression(points, seconds)
            axis.plot(points, [start + slope * n for n in points], "-", color=axis.lines[-1].get_color(), alpha=0.5)
            shown = ", ".join(f"{n}: {s:.2f}" for n, s in zip(points, seconds, strict=True))
            print(f"{title}, {name}, CPU seconds: {shown}; R2 {statistics.correlation(points, seconds) ** 2:.3f}")
        axis.set_xlabel(title)
        axis.set_ylim(bottom=0)
    axes[0].set_ylabel("CPU seconds")
    axes[0].legend(frameon=False)
    figure.savefig(path)


if __name__ == "__main__":
    arguments = parser("bench.speed.scaling", __doc__)
    arguments.add_argument("picture", help="the SVG file to write")
    main(arguments.parse_args().picture)
