"""With a reward that is known for every response, PPO arrives where theory says: pi*(y) = rho(y) exp(r(y) / beta) / Z.

Eight tokens and three positions make 512 responses, so policy, base and optimum are known exactly. The reward is drawn
at random for every truncated response, and an invalid one earns -1, as in any campaign.
"""

from itertools import product

import pytest
import torch
from tokenizers import Regex, Tokenizer
from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel, PreTrainedTokenizerFast

from data.campaign import load_campaign
from data.campaign.settings import Policy
from data.runs.step_facts import PolicyUpdate
from models.lm.logprobs import response_logprobs
from models.lm.prompts import Prompts
from models.lm.tokens import PAD, truncate
from models.ppo.train import PolicyHooks, train_policy

VOCABULARY, LENGTH, STOP, BETA = 8, 3, 0, 0.3
CAMPAIGN = load_campaign("sentiment")
RULES = CAMPAIGN.text.model_copy(update={"response_tokens": LENGTH, "truncate_after": 1, "query_tokens": 4})
SETTINGS: Policy = CAMPAIGN.policy.model_copy(
    update={
        "episodes": 150 * 256,
        "batch": 256,
        "responses_per_query": 256,
        "lr": 3e-3,
        "kl_coefficient": BETA,
        "kl_target": None,
        "micro_batch": 1,
    }
)
QUERY = [[3, 5, 1]]
ALL = torch.tensor(list(product(range(VOCABULARY), repeat=LENGTH)))  # [512, 3]


def letters() -> PreTrainedTokenizerFast:
    """Return a tokenizer that writes each letter as one token, and STOP as a full stop."""
    tokenizer = Tokenizer(WordLevel({letter: token for token, letter in enumerate(".abcdef ")}, "a"))
    tokenizer.pre_tokenizer = Split(Regex("."), "isolated")
    tokenizer.decoder = Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def tiny_base(seed: int) -> PreTrainedModel:
    torch.manual_seed(seed)
    config = GPT2Config(vocab_size=VOCABULARY, n_positions=16, n_embd=32, n_layer=1, n_head=2, initializer_range=0.3)
    model: PreTrainedModel = GPT2LMHeadModel(config).eval()
    return model.requires_grad_(False)


class KnownReward:
    """A random number for every truncated response."""

    def __init__(self, seed: int) -> None:
        self.table = torch.randn(9**LENGTH, generator=torch.Generator().manual_seed(seed))

    def __call__(self, queries: Tensor, responses: Tensor) -> Tensor:
        place = torch.tensor([81, 9, 1])
        return self.table[((responses + 1) * place).sum(-1)]

    def of_all(self) -> Tensor:
        """The reward [512] that PPO should see: of the truncated response, or -1."""
        cut, valid = truncate(ALL, [[STOP]], RULES.truncate_after)
        return torch.where(valid, self(torch.empty(0), cut), torch.tensor(RULES.invalid_score))


def distribution(model: PreTrainedModel) -> Tensor:
    """Log-probabilities [512] of all responses at the sampling temperature."""
    return response_logprobs(model, torch.tensor(QUERY), ALL[None], RULES.temperature, 1)[0].sum(-1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ppo_arrives_at_the_optimum_that_theory_knows(seed: int) -> None:
    base, known = tiny_base(seed), KnownReward(seed)
    rho, reward = distribution(base), known.of_all()
    optimum = (rho + reward / BETA).log_softmax(-1)
    history: list[PolicyUpdate] = []
    policy = train_policy(
        SETTINGS, Prompts(letters(), RULES), base, known, QUERY, seed, PolicyHooks(log=history.append)
    )
    learned = distribution(policy.language_model)
    assert abs(float(learned.exp().sum()) - 1) < 1e-4, "all responses are counted"

    def mean_reward(logprobs: Tensor) -> float:
        return float((logprobs.exp() * reward).sum())

    away = float((learned.exp() * (learned - optimum)).sum())  # nats
    start = float((rho.exp() * (rho - optimum)).sum())
    kl = float((learned.exp() * (learned - rho)).sum())
    kl_wanted = float((optimum.exp() * (optimum - rho)).sum())
    assert away < max(0.05, 0.1 * start) < start, (away, start)
    assert abs(mean_reward(learned) - mean_reward(optimum)) < 0.15
    assert abs(kl - kl_wanted) < 0.25 * kl_wanted
    assert abs(history[0]["kl"]) < 1e-4 and abs(history[0]["first_ratio"] - 1) < 1e-4
    assert PAD not in ALL
