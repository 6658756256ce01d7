"""The same work as users do it today, in an own process: `python -m bench.speed.trl_side WORK SHAPE [QUERY RESPONSE]`.

Reward training is TRL's RewardTrainer with its defaults (pairs only: best-of-four becomes three pairs; bf16 with
gradient checkpointing, eight pairs a step), and as `reward-tuned` without checkpointing, in fp32, and with as many
questions a step as ours. PPO is TRL's PPOTrainer of 1.12, the last release that has it. Sampling is
`transformers.generate`. Only this file needs the environment of `make bench-peer`.
"""

import tempfile
from collections.abc import Callable
from typing import Any

import torch
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import GPT2ForSequenceClassification, PreTrainedTokenizerFast

from bench.arguments import parser
from bench.meter import Cost, cost_of, report
from bench.speed.shapes import SHAPES, VOCABULARY, language_model, token_rows

K = 4
QUESTIONS = {"tiny": 24, "124m": 8}
EPISODES = {"tiny": 64, "124m": 16}
END = VOCABULARY - 1


def prompts(shape: str, query: int) -> int:
    """Return how many prompts one run samples for: as many as a minute of the peer allows."""
    return {"tiny": 64, "124m": 16}[shape] // (1 if query < 100 else 4)


def tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer whose every token is a word, its number: TRL wants text, the work is in tokens."""
    words = Tokenizer(WordLevel({str(number): number for number in range(VOCABULARY)}, unk_token="0"))
    words.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="0", eos_token=str(END), padding_side="left")


def classifier(shape: str) -> GPT2ForSequenceClassification:
    config = language_model(shape).config
    config.num_labels, config.pad_token_id = 1, 0
    return GPT2ForSequenceClassification(config)


def train_reward(shape: str, query: int, response: int, **tuned: Any) -> Cost:
    from trl import RewardConfig, RewardTrainer

    count = QUESTIONS[shape]
    queries, responses = token_rows(count, query), token_rows(count * K, response, seed=1)
    text = [[" ".join(map(str, queries[i] + responses[i * K + j])) for j in range(K)] for i in range(count)]
    pairs = [{"chosen": four[0], "rejected": other} for four in text for other in four[1:]]
    with tempfile.TemporaryDirectory() as folder:
        settings = RewardConfig(folder, num_train_epochs=1, report_to="none", save_strategy="no", use_cpu=True, **tuned)
        trainer = RewardTrainer(
            model=classifier(shape),
            args=settings,
            processing_class=tokenizer(),
            train_dataset=Dataset.from_list(pairs),
        )
        return cost_of(count, trainer.train)


def train_reward_tuned(shape: str, query: int, response: int) -> Cost:
    return train_reward(
        shape, query, response, bf16=False, gradient_checkpointing=False, per_device_train_batch_size=8 * (K - 1)
    )


def train_policy(shape: str, query: int, response: int) -> Cost:
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    count = EPISODES[shape]
    prompts = Dataset.from_dict({"input_ids": token_rows(count, query)})
    with tempfile.TemporaryDirectory() as folder:
        settings = PPOConfig(
            folder,
            total_episodes=count,
            per_device_train_batch_size=count,
            gradient_accumulation_steps=1,
            num_mini_batches=1,
            num_ppo_epochs=4,
            local_rollout_forward_batch_size=count,
            num_sample_generations=0,
            response_length=response,
            temperature=0.7,
            kl_coef=0.1,
            bf16=False,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
        )
        trainer = PPOTrainer(
            args=settings,
            processing_class=tokenizer(),
            model=language_model(shape),
            ref_model=language_model(shape),
            reward_model=classifier(shape),
            value_model=classifier(shape),
            train_dataset=prompts,
            eval_dataset=prompts,
        )
        return cost_of(count, trainer.train)


def draw_samples(shape: str, query: int, response: int) -> Cost:
    count, model = prompts(shape, query), language_model(shape).eval()
    texts = torch.tensor(token_rows(count, query))
    return cost_of(
        count * K * response,
        lambda: model.generate(
            texts,
            attention_mask=torch.ones_like(texts),
            do_sample=True,
            temperature=0.7,
            top_k=0,
            min_new_tokens=response,
            max_new_tokens=response,
            num_return_sequences=K,
            pad_token_id=0,
        ),
    )


WORK: dict[str, Callable[[str, int, int], Cost]] = {
    "reward": train_reward,
    "reward-tuned": train_reward_tuned,
    "ppo": train_policy,
    "sampling": draw_samples,
}


if __name__ == "__main__":
    arguments = parser("bench.speed.trl_side", __doc__)
    arguments.add_argument("work", choices=WORK)
    arguments.add_argument("shape", choices=SHAPES)
    arguments.add_argument("query", type=int, nargs="?", default=64, help="tokens of a query (%(default)s)")
    arguments.add_argument("response", type=int, nargs="?", default=24, help="tokens of a response (%(default)s)")
    given = arguments.parse_args()
    report(WORK[given.work](given.shape, given.query, given.response))
