"""How fast the learner is on the embedded base: `make bench`.

Sampling, one pass of reward training, and PPO updates at the campaign's own sizes (query 64, response 24, k = 4).
"""

import statistics
import time
from collections.abc import Callable

import torch

from bench.arguments import parser
from data.campaign import load_campaign
from data.campaign.queries import load_queries
from models.lm.base import open_base
from models.lm.sampling import draw_noise, sample
from models.lm.tokens import pad_left
from models.ppo.train import train_policy
from models.reward.model import new_reward_model, train_reward_model
from models.reward.preferences import best_of

RUNS = 5


def measure(name: str, unit: str, amount: int, work: Callable[[], object]) -> None:
    """Run `work` once to warm up and five times to measure; print amounts a second of wall and of CPU time."""
    work()
    wall, cpu = [], []
    for _ in range(RUNS):
        began, busy = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - busy)
    per_wall, per_cpu = amount / statistics.median(wall), amount / statistics.median(cpu)
    print(f"{name:32} {per_wall:9,.1f} {unit}/s   {per_cpu:9,.1f} {unit} a CPU second")


def main() -> None:
    campaign = load_campaign("sentiment")
    rules, base = campaign.text, open_base("embedded")
    prompts = base.prompts(rules)
    encoded = (prompts.encode(query.text) for query in load_queries(rules, "train"))
    queries = [tokens for tokens in encoded if tokens][:128]
    padded = pad_left(queries[:64])
    noise = draw_noise(64, 4, rules, torch.Generator().manual_seed(0))
    print(f"{torch.get_num_threads()} threads, {base.model.num_parameters():,} parameters")

    tokens = 64 * 4 * rules.response_tokens
    measure("sampling, 64 queries x 4", "tokens", tokens, lambda: sample(base.model, padded, noise, rules))

    drawn = sample(base.model, padded, noise, rules).tokens.tolist()
    rows = [best_of(query, list(four), 0) for query, four in zip(queries[:64], drawn, strict=True)]
    model = new_reward_model(base.model, 0)
    measure("reward training, k = 4", "questions", 64, lambda: train_reward_model(model, rows, campaign.reward, 0))

    settings = campaign.policy.model_copy(update={"episodes": campaign.policy.batch})
    scored = model.requires_grad_(False)

    def update() -> None:
        train_policy(settings, prompts, base.model, scored, queries, 0)

    measure(f"PPO, {settings.epochs} epochs", "episodes", settings.batch, update)


if __name__ == "__main__":
    arguments = parser("bench.speed.learner", __doc__)
    arguments.parse_args()
    main()
