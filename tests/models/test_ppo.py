"""PPO: signs, places and shapes of every term, and that a rigged reward rises."""

import math

import pytest
import torch
from torch import Tensor

from data.campaign import load_campaign
from data.campaign.settings import Policy, TextFormat
from data.runs.step_facts import PolicyUpdate
from models.lm.base import Base, fingerprint
from models.lm.sampling import draw_noise
from models.ppo.objective import KLController, gae, policy_loss, token_rewards, value_loss, whiten
from models.ppo.policy import PolicyModel, Rollout, Score, roll_out
from models.ppo.train import PolicyHooks, improve, train_policy
from models.training.adam import BETAS, EPSILON, Adam

CAMPAIGN = load_campaign("sentiment")
RULES: TextFormat = CAMPAIGN.text
SETTINGS: Policy = CAMPAIGN.policy.model_copy(
    update={"episodes": 64, "batch": 32, "responses_per_query": 4, "micro_batch": 3, "lr": 1e-3}
)
QUERIES = [[5, 9, 300, 7], [8] * 40, [1, 2], [90, 91, 92], [7] * 10, [1], [2, 3, 4], [500, 501]]


def roll(base: Base, score: Score, policy: PolicyModel | None = None) -> Rollout:
    """Roll out the policy, the base itself unless one is given, once on all queries."""
    noise = draw_noise(len(QUERIES), 4, RULES, torch.Generator().manual_seed(0))
    return roll_out(policy or PolicyModel(base.model), base.model, score, QUERIES, noise, base.prompts(RULES), 3)


def count_of(token: int) -> Score:
    """A known reward: how often a token occurs in the truncated response."""
    return lambda queries, responses: (responses == token).sum(-1).float()


@pytest.fixture
def rollout(tiny: Base) -> Rollout:
    return roll(tiny, count_of(tiny.tokenizer.convert_tokens_to_ids(".")))


# --- rewards


def test_each_token_pays_for_its_own_divergence_and_the_last_earns_the_score() -> None:
    logprobs = torch.randn(2, 3, 5, requires_grad=True)
    scores = torch.randn(2, 3, requires_grad=True)
    rewards = token_rewards(scores, logprobs, torch.randn(2, 3, 5), kl_coefficient=0.3)
    by_logprob, by_score = torch.autograd.grad(rewards.sum(), (logprobs, scores), retain_graph=True)
    torch.testing.assert_close(by_logprob, torch.full_like(by_logprob, -0.3))
    torch.testing.assert_close(by_score, torch.ones_like(by_score))
    (of_last,) = torch.autograd.grad(rewards[..., -1].sum(), scores, retain_graph=True)
    assert (of_last == 1).all(), "the score is paid at the last index"
    (early,) = torch.autograd.grad(rewards[..., :-1].sum(), scores, allow_unused=True)
    assert early is None or (early == 0).all()


def test_an_invalid_response_scores_exactly_what_the_campaign_says(tiny: Base) -> None:
    out = roll(tiny, lambda q, r: torch.full(r.shape[:2], 1000.0))
    assert 0 < out.valid.sum() < out.valid.numel(), "the test needs both kinds"
    assert (out.scores[~out.valid] == -1).all() and (out.scores[out.valid] == 1000).all()


def test_the_score_sees_the_truncated_response_and_training_the_whole(tiny: Base) -> None:
    seen: list[Tensor] = []

    def watch(queries: Tensor, responses: Tensor) -> Tensor:
        seen.append(responses)
        return torch.zeros(responses.shape[:2])

    out = roll(tiny, watch)
    cut = torch.cat(seen)
    assert (cut == -1).any() and (out.tokens >= 0).all()
    assert torch.equal(cut[cut >= 0], out.tokens[cut >= 0])


def test_whitening_uses_the_population_variance() -> None:
    # The 3 x 3 example of "The N Implementation Details of RLHF with PPO".
    values = torch.arange(1.2, 2.05, 0.1).view(3, 3)
    kept = whiten(values, keep_mean=True)
    assert abs(float(kept[0, 0]) - 0.0508) < 1e-4 and abs(float(kept[-1, -1]) - 3.1492) < 1e-4
    assert abs(float(kept.mean() - values.mean())) < 1e-5
    removed = whiten(values, keep_mean=False)
    assert abs(float(removed.mean())) < 1e-6 and abs(float(removed.var(correction=0)) - 1) < 1e-4


# --- advantages


def brute_force(rewards: Tensor, values: Tensor, gamma: float, lam: float) -> Tensor:
    length = rewards.shape[-1]
    out = torch.zeros_like(rewards)
    for t in range(length):
        for step in range(t, length):
            following = values[..., step + 1] if step + 1 < length else 0.0
            out[..., t] += (gamma * lam) ** (step - t) * (rewards[..., step] + gamma * following - values[..., step])
    return out


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.5), (1.0, 1.0), (1.0, 0.0)])
def test_advantages_are_the_discounted_sum_of_errors(gamma: float, lam: float) -> None:
    rewards, values = torch.randn(2, 4, 7), torch.randn(2, 4, 7)
    torch.testing.assert_close(gae(rewards, values, gamma, lam), brute_force(rewards, values, gamma, lam))


def test_with_lambda_1_the_advantage_is_what_followed_less_what_was_expected() -> None:
    rewards, values = torch.randn(3, 6), torch.randn(3, 6)
    to_come = rewards.flip(-1).cumsum(-1).flip(-1)
    torch.testing.assert_close(gae(rewards, values, 1.0, 1.0), to_come - values)


# --- losses


def test_the_policy_moves_towards_what_was_better_than_expected() -> None:
    logprobs = torch.zeros(2, requires_grad=True)
    policy_loss(logprobs, torch.zeros(2), torch.tensor([1.0, -1.0]), 0.2).sum().backward()
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == [-1.0, 1.0]


@pytest.mark.parametrize(
    ("log_ratio", "advantage", "moves"), [(0.5, 1, False), (0.5, -1, True), (-0.5, -1, False), (-0.5, 1, True)]
)
def test_the_ratio_is_clipped_only_where_the_step_has_gone_far_enough(
    log_ratio: float, advantage: int, moves: bool
) -> None:
    logprobs = torch.tensor([log_ratio], requires_grad=True)
    policy_loss(logprobs, torch.zeros(1), torch.tensor([float(advantage)]), 0.2).sum().backward()
    assert logprobs.grad is not None
    assert bool(logprobs.grad != 0) is moves


def test_values_are_clipped_around_those_of_the_rollout() -> None:
    old, target = torch.zeros(1), torch.tensor([1.0])
    far = torch.tensor([0.9], requires_grad=True)
    loss = value_loss(far, old, target, 0.2)
    assert loss.item() == pytest.approx(0.5 * (0.2 - 1) ** 2), "a value that ran ahead gains nothing"
    loss.sum().backward()
    assert far.grad is not None and float(far.grad) == 0
    wrong_way = torch.tensor([-0.9], requires_grad=True)
    assert value_loss(wrong_way, old, target, 0.2).item() == pytest.approx(0.5 * 1.9**2)


# --- KL


def controller(**changes: object) -> KLController:
    return KLController(SETTINGS.model_copy(update={"kl_coefficient": 0.1, "kl_horizon": 1000.0, **changes}))


def test_too_much_kl_raises_its_price_and_too_little_lowers_it() -> None:
    for kl, factor in ((20.0, 1.02), (10.0, 1.0), (9.0, 0.99), (0.0, 0.98), (1e9, 1.02)):
        kl_control = controller(kl_target=10.0)
        kl_control.update(kl, episodes=100)
        assert kl_control.beta == pytest.approx(0.1 * factor)


def test_without_a_target_the_price_is_fixed() -> None:
    kl_control = controller(kl_target=None)
    kl_control.update(100.0, episodes=1000)
    assert kl_control.beta == 0.1


def test_the_adapted_price_is_the_one_that_is_paid(tiny: Base) -> None:
    settings = SETTINGS.model_copy(update={"kl_target": 1e-6, "kl_horizon": 100.0, "kl_coefficient": 0.5, "lr": 3e-3})
    log: list[PolicyUpdate] = []
    train_policy(settings, tiny.prompts(RULES), tiny.model, count_of(5), QUERIES, 0, PolicyHooks(log=log.append))
    first, second = log
    assert abs(first["kl"]) < 1e-3 and first["kl_coefficient"] == 0.5
    change = min(max(first["kl"] / 1e-6 - 1, -0.2), 0.2) * 32 / 100
    assert second["kl_coefficient"] == pytest.approx(0.5 * (1 + change))
    assert second["reward"] == pytest.approx(second["score"] - second["kl_coefficient"] * second["kl"], abs=1e-4)


# --- the whole


def test_at_the_start_ratio_is_1_kl_0_and_values_0(tiny: Base, rollout: Rollout) -> None:
    assert (rollout.logprobs - rollout.reference).abs().max() < 1e-4
    assert (rollout.values == 0).all()
    policy = PolicyModel(tiny.model)
    rewards = token_rewards(rollout.scores, rollout.logprobs, rollout.reference, 0.1)
    metrics, _ = improve(policy, Adam(policy.parameters(), 1e-5), rollout, rewards, SETTINGS, RULES, remaining=1.0)
    assert abs(metrics["first_ratio"] - 1) < 1e-4 and abs(metrics["kl"]) < 1e-4


def test_the_size_of_a_micro_batch_changes_no_result(tiny: Base, rollout: Rollout) -> None:
    weights = []
    for size in (1, 3, 8):
        policy = PolicyModel(tiny.model)
        settings = SETTINGS.model_copy(update={"micro_batch": size})
        rewards = token_rewards(rollout.scores, rollout.logprobs, rollout.reference, 0.1)
        improve(policy, Adam(policy.parameters(), 1e-4), rollout, rewards, settings, RULES, remaining=1.0)
        weights.append(torch.cat([parameter.flatten() for parameter in policy.parameters()]))
    torch.testing.assert_close(weights[0], weights[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(weights[0], weights[2], atol=1e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(("worth", "direction"), [(1.0, 1), (-3.0, -1)])
def test_what_scores_above_an_invalid_response_is_learned_and_what_scores_below_is_left(
    tiny: Base, worth: float, direction: int
) -> None:
    changes = {"episodes": 960, "batch": 64, "micro_batch": 16, "kl_coefficient": 0.02, "kl_target": None, "lr": 5e-3}
    settings = SETTINGS.model_copy(update=changes)
    log: list[PolicyUpdate] = []
    every_valid_one = lambda q, r: torch.full(r.shape[:2], worth)  # noqa: E731
    train_policy(settings, tiny.prompts(RULES), tiny.model, every_valid_one, QUERIES, 0, PolicyHooks(log=log.append))
    early, late = (sum(step["valid"] for step in part) / 3 for part in (log[:3], log[-3:]))
    assert direction * (late - early) > 0.2, (early, late)


def test_training_leaves_the_reference_alone_and_repeats_itself(tiny: Base) -> None:
    logs: list[list[PolicyUpdate]] = [[], []]
    prints = []
    for log in logs:
        policy = train_policy(
            SETTINGS, tiny.prompts(RULES), tiny.model, count_of(5), QUERIES, 3, PolicyHooks(log=log.append)
        )
        prints.append(fingerprint(policy))
    assert logs[0] == logs[1] and prints[0] == prints[1]
    assert fingerprint(tiny.model) == tiny.fingerprint
    assert fingerprint(policy.language_model) != tiny.fingerprint


# --- Adam


def test_the_rate_falls_from_its_start_to_one_step_above_zero(tiny: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    rates, step = [], Adam.step

    def noted(optimizer: Adam, remaining: float) -> None:
        step(optimizer, remaining)
        rates.append(optimizer.torch.param_groups[0]["lr"])

    monkeypatch.setattr(Adam, "step", noted)
    settings = SETTINGS.model_copy(update={"episodes": 128, "batch": 32, "epochs": 2, "lr": 0.008})
    train_policy(settings, tiny.prompts(RULES), tiny.model, count_of(13), QUERIES, 0)
    assert rates == pytest.approx([0.008, 0.008, 0.006, 0.006, 0.004, 0.004, 0.002, 0.002])


def test_adam_is_tensorflows() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimizer = Adam([weight], lr=0.1)
    expected, m, v = weight.detach().clone(), torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for t in range(1, 40):
        gradient = torch.tensor([1e-5 * math.sin(t), 1e-4], dtype=torch.float64)
        weight.grad = gradient.clone()
        optimizer.step(remaining=1 - t / 50)
        m = BETAS[0] * m + (1 - BETAS[0]) * gradient
        v = BETAS[1] * v + (1 - BETAS[1]) * gradient**2
        rate = 0.1 * (1 - t / 50) * (1 - BETAS[1] ** t) ** 0.5 / (1 - BETAS[0] ** t)
        expected = expected - rate * m / (v.sqrt() + EPSILON)
        torch.testing.assert_close(weight.detach(), expected, rtol=1e-9, atol=0)
    assert weight.grad is None, "a step clears the gradients"


def test_adam_is_plain_adam_without_decay() -> None:
    optimizer = Adam([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    assert type(optimizer.torch) is torch.optim.Adam
    (group,) = optimizer.torch.param_groups
    assert group["weight_decay"] == 0 and group["betas"] == (0.9, 0.999) and not group["amsgrad"]
