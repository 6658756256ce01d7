"""The objective of PPO (paper, section 2.1; released code): token rewards, advantages, clipped losses, KL controller.

Shapes: tokens of responses [..., R]; scores [...], one a response. These are functions of tensors, without models,
settings or randomness, so each can be tested by itself.
"""

import torch
from torch import Tensor

from data.campaign.settings import Policy


def token_rewards(scores: Tensor, logprobs: Tensor, reference: Tensor, kl_coefficient: float) -> Tensor:
    """R_t = -beta * (lp_t - lpref_t), plus the score at the last index."""
    rewards = -kl_coefficient * (logprobs - reference)
    rewards[..., -1] += scores
    return rewards


def whiten(values: Tensor, *, keep_mean: bool) -> Tensor:
    """Scale to variance 1 (population), around zero or around the mean."""
    variance, mean = torch.var_mean(values, correction=0)
    return (values - mean) * torch.rsqrt(variance + 1e-8) + (mean if keep_mean else 0.0)


def gae(rewards: Tensor, values: Tensor, gamma: float, lam: float) -> Tensor:
    """A_t = d_t + gamma * lam * A_{t+1}, with d_t = R_t + gamma * V_{t+1} - V_t; V after the end is 0."""
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
    """The KL coefficient beta, fixed or controlled so that KL (nats a sequence) approaches a target."""

    def __init__(self, settings: Policy) -> None:
        self.beta = settings.kl_coefficient
        self.target = settings.kl_target
        self.horizon = settings.kl_horizon

    def update(self, kl: float, episodes: int) -> None:
        """beta <- beta * (1 + clip(KL / target - 1, -0.2, 0.2) * episodes / horizon)"""
        if self.target is not None:
            error = min(max(kl / self.target - 1, -0.2), 0.2)
            self.beta *= 1 + error * episodes / self.horizon
