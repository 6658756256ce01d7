"""PPO against a reward model, held near the base by KL (paper section 2.1; released code for what the paper omits).

What we do differently: (1) the k responses to a query are rolled out and trained on together, so the query is computed
once; (2) advantages and rewards are whitened over the whole batch before it is split, so the size of a micro-batch
changes no result; (3) rollout log-probabilities and values are those of sampling, not of a second pass.

Shapes: B queries, k responses to each, R tokens; B * k episodes an update. lp, v: [B, k, R] at the state *before* a
token. The whole response is trained on, also what lies behind its truncation; only the score sees the truncated one.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from data.campaign import Policy, Text
from models.adam import Adam
from models.base import hidden_size, hidden_states, logits, trainable_copy
from models.precision import autocast
from models.sampling import progress, sample
from models.shared_query import shared_query, states_before
from models.tokens import pad_left, truncate

Score = Callable[[Tensor, Tensor], Tensor]  # queries [B, Q], truncated responses [B, k, R] -> scores [B, k]
Metrics = dict[str, float]


class Rollout(NamedTuple):
    """One batch of episodes and what it earned."""

    queries: Tensor  # [B, Q]
    tokens: Tensor  # [B, k, R]
    logprobs: Tensor  # [B, k, R], of the policy that sampled
    values: Tensor  # [B, k, R]
    reference: Tensor  # [B, k, R], log-probs of the base
    scores: Tensor  # [B, k], -1 where invalid
    valid: Tensor  # [B, k]


def token_rewards(scores: Tensor, logprobs: Tensor, reference: Tensor, kl_coefficient: float) -> Tensor:
    """R_t = -beta * (lp_t - lpref_t), and the score on top at the last index."""
    rewards = -kl_coefficient * (logprobs - reference)
    rewards[..., -1] += scores
    return rewards


def whiten(values: Tensor, *, keep_mean: bool) -> Tensor:
    """Scale to variance 1 (population), around zero or around the mean."""
    variance, mean = torch.var_mean(values, correction=0)
    return (values - mean) * torch.rsqrt(variance + 1e-8) + (mean if keep_mean else 0.0)


def gae(rewards: Tensor, values: Tensor, gamma: float, lam: float) -> Tensor:
    """A_t = d_t + gamma * lam * A_{t+1}, where d_t = R_t + gamma * V_{t+1} - V_t and V behind the end is 0."""
    following = torch.cat([values[..., 1:], torch.zeros_like(values[..., :1])], -1)
    deltas = rewards + gamma * following - values
    advantage = torch.zeros_like(deltas[..., 0])
    columns = []
    for t in reversed(range(deltas.shape[-1])):
        advantage = deltas[..., t] + gamma * lam * advantage
        columns.append(advantage)
    return torch.stack(columns[::-1], -1)


def policy_loss(logprobs: Tensor, old: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """max(-A q, -A clip(q, 1 - eps, 1 + eps)) for every token, with q = exp(lp - lp_old)."""
    ratio = (logprobs - old).exp()
    return torch.maximum(-advantages * ratio, -advantages * ratio.clamp(1 - clip, 1 + clip))


def value_loss(values: Tensor, old: Tensor, returns: Tensor, clip: float) -> Tensor:
    """0.5 * max((v - G)^2, (clip(v, V - eps, V + eps) - G)^2) for every token; V are the values of the rollout."""
    near = torch.minimum(torch.maximum(values, old - clip), old + clip)
    return 0.5 * torch.maximum((values - returns) ** 2, (near - returns) ** 2)


class KLController:
    """beta, fixed or steered so that KL (nats a sequence) approaches a target."""

    def __init__(self, settings: Policy) -> None:
        self.beta = settings.kl_coefficient
        self.target = settings.kl_target
        self.horizon = settings.kl_horizon

    def update(self, kl: float, episodes: int) -> None:
        """beta <- beta * (1 + clip(KL / target - 1, -0.2, 0.2) * episodes / horizon)"""
        if self.target is not None:
            error = min(max(kl / self.target - 1, -0.2), 0.2)
            self.beta *= 1 + error * episodes / self.horizon


class PolicyModel(nn.Module):
    """A language model with a value head on the same body; the head starts at exactly zero."""

    def __init__(self, base: PreTrainedModel) -> None:
        super().__init__()
        self.language_model = trainable_copy(base)
        self.value_head = nn.Linear(hidden_size(base), 1)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)

    def forward(self, queries: Tensor, tokens: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-probs, values and entropies [B, k, R] of given responses."""
        states = _states(self.language_model, queries, tokens)
        distribution = (logits(self.language_model, states) / temperature).log_softmax(-1)
        entropy = -(distribution.detach().exp() * distribution.detach()).sum(-1)
        return _chosen(distribution, tokens), self.value_head(states).squeeze(-1), entropy


def _states(model: PreTrainedModel, queries: Tensor, tokens: Tensor) -> Tensor:
    """Return the fp32 states [B, k, R, d] before each response token."""
    row = shared_query(queries, tokens)
    with autocast(queries.device):
        out = hidden_states(model, row.tokens, row.attention, row.positions, use_cache=False)
    return states_before(out.last_hidden_state, queries.shape[1], tokens.shape[1], tokens.shape[2]).float()


def _chosen(distribution: Tensor, tokens: Tensor) -> Tensor:
    return distribution.gather(-1, tokens[..., None]).squeeze(-1)


@torch.no_grad()
def response_logprobs(model: PreTrainedModel, queries: Tensor, tokens: Tensor, temperature: float, part: int) -> Tensor:
    """Return log-probs [B, k, R] of given responses at the sampling temperature, `part` queries at a time."""
    return torch.cat(
        [
            _chosen((logits(model, _states(model, q, t)) / temperature).log_softmax(-1), t)
            for q, t in zip(queries.split(part), tokens.split(part), strict=True)
        ]
    )


@torch.no_grad()
def roll_out(
    policy: PolicyModel,
    reference: PreTrainedModel,
    score: Score,
    queries: Tensor,
    settings: Policy,
    rules: Text,
    stop: int,
    draw: torch.Generator,
) -> Rollout:
    """Sample responses to queries [B, Q], and measure them by the reference and by the reward model."""
    k, part = settings.responses_per_query, settings.micro_batch
    sampled = sample(policy.language_model, queries, k, rules, draw, policy.value_head)
    base_logprobs = response_logprobs(reference, queries, sampled.tokens, rules.temperature, part)
    cut, valid = truncate(sampled.tokens, stop, rules.truncate_after)
    pairs = zip(queries.split(part), cut.split(part), strict=True)
    scores = torch.cat([score(q, c) for q, c in pairs]).masked_fill(~valid, rules.invalid_score)
    return Rollout(queries, sampled.tokens, sampled.logprobs, sampled.values, base_logprobs, scores, valid)


def train(
    settings: Policy,
    rules: Text,
    base: PreTrainedModel,
    score: Score,
    queries: Sequence[list[int]],
    *,
    stop_token: int,
    seed: int,
    log: Callable[[Metrics], None],
    stop: Callable[[], bool] = lambda: False,
) -> PolicyModel:
    """Train a policy from the base; `log` gets one dictionary an update, `stop` is asked once an update."""
    device = next(base.parameters()).device
    policy = PolicyModel(base).to(device)
    optimizer = Adam(policy.parameters(), settings.lr)
    kl = KLController(settings)
    draw = torch.Generator(device).manual_seed(seed)
    shuffle = torch.Generator().manual_seed(seed)
    order: list[int] = []
    updates = -(-settings.episodes // settings.batch)
    for update in progress(range(updates), "policy", "update"):
        if stop():
            break
        while len(order) < settings.batch // settings.responses_per_query:
            order += torch.randperm(len(queries), generator=shuffle).tolist()
        count = settings.batch // settings.responses_per_query
        chosen, order = order[:count], order[count:]
        padded = pad_left([queries[i] for i in chosen], rules.query_tokens).to(device)
        rollout = roll_out(policy, base, score, padded, settings, rules, stop_token, draw)
        earned = token_rewards(rollout.scores, rollout.logprobs, rollout.reference, kl.beta)
        metrics = improve(policy, optimizer, rollout, earned, settings, rules, remaining=1 - update / updates)
        metrics = {"update": update, "episodes": (update + 1) * settings.batch, "kl_coefficient": kl.beta, **metrics}
        kl.update(metrics["kl"], settings.batch)
        log(metrics)
    return policy


def improve(
    policy: PolicyModel,
    optimizer: Adam,
    rollout: Rollout,
    rewards: Tensor,
    settings: Policy,
    rules: Text,
    *,
    remaining: float,
) -> Metrics:
    """Take `epochs` steps on one rollout, one minibatch each, and return the update's metrics."""
    whitened = whiten(rewards, keep_mean=True) if settings.whiten_rewards else rewards
    advantages = gae(whitened, rollout.values, settings.gamma, settings.lam)
    returns = advantages + rollout.values
    advantages = whiten(advantages, keep_mean=False)
    parts = [
        [tensor.split(settings.micro_batch) for tensor in (rollout.queries, rollout.tokens)],
        [tensor.split(settings.micro_batch) for tensor in (rollout.logprobs, rollout.values, advantages, returns)],
    ]
    pieces = list(zip(*(split for group in parts for split in group), strict=True))
    total = rollout.tokens.numel()
    kl = (rollout.logprobs - rollout.reference).sum(-1)  # [B, k], nats a sequence
    metrics: Metrics = {
        "kl": float(kl.mean()),
        "score": float(rollout.scores.mean()),
        "score_std": float(rollout.scores.std(correction=0)),
        "reward": float(rewards.sum(-1).mean()),
        "valid": float(rollout.valid.float().mean()),
    }
    for epoch in range(settings.epochs):
        sums = dict.fromkeys(("loss_policy", "loss_value", "approx_kl", "clip_fraction", "entropy", "ratio"), 0.0)
        for q, tokens, old_logprobs, old_values, advantage, target in pieces:
            logprobs, values, entropy = policy(q, tokens, rules.temperature)
            of_policy = policy_loss(logprobs, old_logprobs, advantage, settings.clip).sum() / total
            of_value = value_loss(values, old_values, target, settings.value_clip).sum() / total
            (of_policy + settings.value_coefficient * of_value).backward()
            with torch.no_grad():
                change = logprobs - old_logprobs
                sums["loss_policy"] += of_policy.item()
                sums["loss_value"] += of_value.item()
                sums["approx_kl"] += 0.5 * float((change**2).sum()) / total
                sums["clip_fraction"] += float(((change.exp() - 1).abs() > settings.clip).sum()) / total
                sums["entropy"] += float(entropy.sum()) / total
                sums["ratio"] += float(change.exp().sum()) / total
        if epoch == 0:
            metrics["first_ratio"] = sums["ratio"]
        optimizer.step(remaining)
    explained = 1 - float((returns - rollout.values).var()) / max(float(returns.var()), 1e-8)
    return metrics | {name: value for name, value in sums.items() if name != "ratio"} | {"value_explained": explained}
