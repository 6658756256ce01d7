"""One piece of Andon's work, in a process of its own: `python -m bench.speed.andon_side WORK SHAPE`."""

from collections.abc import Callable

import torch
from transformers import GPT2LMHeadModel

from bench.arguments import parser
from bench.meter import Cost, cost_of, report
from bench.speed.shapes import SHAPES, language_model, token_rows
from data.campaign import load_campaign
from data.campaign.settings import Policy, Reward, TextFormat
from models.lm.base import FUSED_GELU
from models.lm.memory import keep_freed_memory
from models.lm.prompts import Prompts
from models.lm.sampling import draw_noise, sample
from models.lm.tokens import pad_left
from models.ppo.train import train_policy
from models.reward.model import new_reward_model, train_reward_model
from models.reward.preferences import best_of

K = 4
QUESTIONS = {"tiny": 96, "124m": 16}
EPISODES = {"tiny": 64, "124m": 16}


def prompts(shape: str, query: int) -> int:
    """Return how many prompts one run samples for: as many as a minute of the peer allows."""
    return {"tiny": 64, "124m": 16}[shape] // (1 if query < 100 else 4)


def rules(query: int, response: int) -> TextFormat:
    return load_campaign("sentiment").text.model_copy(update={"query_tokens": query, "response_tokens": response})


class OneStop:
    """A tokenizer for random tokens, of which one ends a response."""

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        return [13] if text else []


def prompts_of(fmt: TextFormat) -> Prompts:
    return Prompts(OneStop(), fmt)


def frozen(shape: str) -> GPT2LMHeadModel:
    """Return a model as `open_base` would: in eval mode, without gradients, with the fused GELU."""
    model = language_model(shape, FUSED_GELU["gelu_new"])
    model.eval().requires_grad_(False)
    return model


def train_reward(shape: str, query: int, response: int) -> Cost:
    count, settings = QUESTIONS[shape], Reward(batch=8, lr=5e-5, held_out_share=0.1, normalisation_samples=64)
    queries, responses = token_rows(count, query), token_rows(count * K, response, seed=1)
    rows = [best_of(queries[i], responses[i * K : (i + 1) * K], i % K) for i in range(count)]
    model = new_reward_model(frozen(shape), 0)
    return cost_of(count, lambda: train_reward_model(model, rows, settings, 0))


def policy_training(shape: str, query: int, response: int) -> Cost:
    count = EPISODES[shape]
    settings = Policy(episodes=count, batch=count, responses_per_query=K, lr=1e-5, kl_coefficient=0.1)
    base = frozen(shape)
    score = new_reward_model(base, 0).requires_grad_(False)
    queries = token_rows(count, query)
    return cost_of(
        count,
        lambda: train_policy(settings, prompts_of(rules(query, response)), base, score, queries, 0),
    )


def draw_samples(shape: str, query: int, response: int) -> Cost:
    count, text, model = prompts(shape, query), rules(query, response), frozen(shape)
    noise = draw_noise(count, K, text, torch.Generator().manual_seed(0))
    queries = pad_left(token_rows(count, query))
    return cost_of(count * K * response, lambda: sample(model, queries, noise, text))


WORK: dict[str, Callable[[str, int, int], Cost]] = {
    "reward": train_reward,
    "ppo": policy_training,
    "sampling": draw_samples,
}


if __name__ == "__main__":
    arguments = parser("bench.speed.andon_side", __doc__)
    arguments.add_argument("work", choices=WORK)
    arguments.add_argument("shape", choices=SHAPES)
    arguments.add_argument("query", type=int, nargs="?", default=64, help="tokens of a query (%(default)s)")
    arguments.add_argument("response", type=int, nargs="?", default=24, help="tokens of a response (%(default)s)")
    given = arguments.parse_args()
    keep_freed_memory()
    report(WORK[given.work](given.shape, given.query, given.response))
