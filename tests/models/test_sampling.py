"""Sampling: the distribution that is scored is the one that was sampled from."""

import pytest
import torch
from torch import Tensor

from data.campaign import load_campaign
from data.campaign.settings import TextFormat
from models.lm.base import Base
from models.lm.head import logits
from models.lm.logprobs import response_logprobs
from models.lm.sampling import MOST_TRIES, draw_noise, draw_tokens, sample, sample_valid
from models.lm.tokens import pad_left, truncate
from models.ppo.policy import PolicyModel

RULES = load_campaign("sentiment").text
QUERIES = [[5, 9, 300, 7], [8] * 40, [1, 2]]


@pytest.fixture(params=["gpt2", "llama"])
def base(request: pytest.FixtureRequest, tiny: Base, tiny_llama: Base) -> Base:
    return tiny if request.param == "gpt2" else tiny_llama


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(queries: int, k: int, seed: int = 0, rules: TextFormat = RULES) -> Tensor:
    return draw_noise(queries, k, rules, draw(seed))


def test_log_probabilities_of_sampling_equal_those_of_a_forward_pass(base: Base) -> None:
    queries = pad_left(QUERIES, RULES.query_tokens)
    samples = sample(base.model, queries, noise(3, 4), RULES)
    again = response_logprobs(base.model, queries, samples.tokens, RULES.temperature, part=2)
    torch.testing.assert_close(samples.logprobs, again, atol=1e-4, rtol=0)
    at_one = response_logprobs(base.model, queries, samples.tokens, 1.0, part=2)
    assert (at_one - again).abs().max() > 0.05, "temperature must be in the log-probabilities"


def test_every_response_has_full_length_whatever_is_sampled(base: Base) -> None:
    samples = sample(base.model, pad_left(QUERIES * 20, RULES.query_tokens), noise(60, 4), RULES)
    assert samples.tokens.shape == (60, 4, 24)
    assert samples.tokens.min() >= 0 and samples.tokens.max() < base.model.config.vocab_size
    assert (samples.logprobs < 0).all()


def test_no_token_is_excluded_by_a_top_k(base: Base) -> None:
    rules = RULES.model_copy(update={"response_tokens": 1})
    samples = sample(base.model, pad_left([[5, 9, 300, 7]], RULES.query_tokens), noise(1, 4000, rules=rules), rules)
    with torch.no_grad():
        hidden = base.model(input_ids=torch.tensor([[5, 9, 300, 7]]), output_hidden_states=True).hidden_states[-1][
            :, -1
        ]
        expected = (logits(base.model, hidden) / rules.temperature).softmax(-1)[0]
    counts = torch.bincount(samples.tokens.flatten(), minlength=len(expected)).float()
    top = expected.argsort(descending=True)
    for group in (top[:20], top[20:100], top[100:]):
        share, truth = float(counts[group].sum() / 4000), float(expected[group].sum())
        assert abs(share - truth) < 4 * (truth * (1 - truth) / 4000) ** 0.5 + 1e-3


def test_responses_are_a_function_of_their_own_noise(base: Base) -> None:
    queries = pad_left(QUERIES)
    one, two, other = (sample(base.model, queries, noise(3, 2, seed), RULES).tokens for seed in (3, 3, 4))
    assert torch.equal(one, two) and not torch.equal(one, other)
    alone = sample(base.model, pad_left(QUERIES[2:]), noise(3, 2, 3)[2:], RULES).tokens
    assert torch.equal(one[2:], alone), "whoever shares the batch, and however it is padded"


def test_values_are_of_the_state_before_each_token(tiny: Base) -> None:
    policy = PolicyModel(tiny.model)
    queries = pad_left(QUERIES, RULES.query_tokens)
    zero = sample(policy.language_model, queries, noise(3, 2), RULES, policy.value_head)
    assert (zero.values == 0).all(), "a fresh value head says nothing"
    torch.nn.init.normal_(policy.value_head.weight)
    samples = sample(policy.language_model, queries, noise(3, 2), RULES, policy.value_head)
    with torch.no_grad():
        _, values, _ = policy(queries, samples.tokens, RULES.temperature)
    torch.testing.assert_close(samples.values, values, atol=1e-4, rtol=0)


def test_people_see_only_valid_distinct_responses(tiny: Base) -> None:
    stop = tiny.tokenizer.convert_tokens_to_ids(".")
    found = sample_valid(tiny.model, QUERIES, 3, tiny.prompts(RULES), draw(), title="test")
    assert [len(responses) for responses in found] == [3, 3, 3]
    for responses in found:
        assert len({tuple(tokens) for tokens in responses}) == 3
        for tokens in responses:
            assert tokens[-1] == stop and 17 <= len(tokens) <= 24
            cut, valid = truncate(torch.tensor([tokens + [1] * (24 - len(tokens))]), [[stop]], 16)
            assert valid.all() and cut[0, : len(tokens)].tolist() == tokens


def test_a_query_is_given_up_after_24_tries_however_many_of_them_share_a_pass(tiny: Base) -> None:
    drawn, expected = draw(), draw()
    never = tiny.prompts(RULES.model_copy(update={"truncate_after": RULES.response_tokens}))  # no response can end
    found = sample_valid(tiny.model, QUERIES, 3, never, drawn, title="test")
    assert found == [[], [], []]
    torch.rand(MOST_TRIES * len(QUERIES) * 4 * RULES.response_tokens, generator=expected)
    assert torch.equal(drawn.get_state(), expected.get_state()), "24 tries of four responses each, no more and no fewer"


def test_only_tokens_that_can_occur_are_drawn_also_from_the_largest_point() -> None:
    scores = torch.tensor([[1.0, 2.0, 0.5, -torch.inf, -torch.inf]]).repeat(2, 1)
    token, logprob = draw_tokens(scores, torch.tensor([0.0, 1.0]))  # as if a product was rounded up
    assert token.tolist() == [0, 2] and logprob.isfinite().all()
