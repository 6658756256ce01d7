"""PPO against a reward model, held near the base by KL (paper section 2.1; released code for what the paper omits).

Differences from the released code:
1. The k responses to a query are sampled and trained on together, so the query is computed once.
2. Advantages and rewards are whitened over the whole batch before it is split. So neither the size of a micro-batch
   nor the number of processes changes a result.
3. Log-probabilities and values of a rollout are those of sampling, not of a second pass.

The whole response is trained on, also the part behind its truncation. The reward model alone sees the truncated one.

Shapes: B queries in a batch, k responses to each, R tokens in a response. A reward, an advantage and a value are
[B, k, R], a score is [B, k].
A run's policy is trained by `python -m models.steps policy JOB`, as `andon retrain CAMPAIGN` starts it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

from data.campaign.settings import Policy, TextFormat
from data.errors import Refused
from models.lm.prompts import Prompts
from models.lm.sampling import draw_noise
from models.ppo.objective import KLController, gae, policy_loss, token_rewards, value_loss, whiten
from models.ppo.policy import PolicyModel, Rollout, Score, roll_out
from models.reward.model import RewardModel
from models.training.adam import Adam
from models.training.checkpoint import restore_state, save_state, save_when_stopped
from models.training.hooks import NO_HOOKS, Hooks, Metrics
from models.training.loop import progress
from models.training.processes import processes
from models.training.sharding import shard, unshard

SUMMED = (
    "loss_policy",
    "loss_value",
    "approx_kl",
    "clip_fraction",
    "entropy",
    "ratio",
    "ratio_error",
)  # over tokens, every epoch


class Update(NamedTuple):
    """What one update was made of, for those who check it."""

    number: int
    rollout: Rollout
    rewards: Tensor  # [B, k, R], of every token
    kl_coefficient: float  # beta, as it was used in the rewards
    logprob_delta: Tensor  # [B, k], nats by which each response became likelier in all epochs but the last
    metrics: Metrics


def train_policy(
    settings: Policy,
    prompts: Prompts,
    base: PreTrainedModel,
    score: Score,
    queries: Sequence[list[int]],
    seed: int,
    hooks: Hooks = NO_HOOKS,
    value_from: RewardModel | None = None,
) -> PolicyModel:
    """Train a policy from the base, which is also its reference, and return it.

    `value_from` is the reward model that a separate value model starts from; without it, values are a head on the body.
    """
    device = next(base.parameters()).device
    model = PolicyModel(base, value_from).to(device)
    policy = shard(model)
    optimizer = Adam(policy.parameters(), settings.lr)
    kl = KLController(settings)
    first, facts = restore_state(hooks.checkpoints, policy, optimizer)
    kl.beta = facts.get("kl_coefficient", kl.beta)
    history: list[Metrics] = facts.get("history", [])
    for metrics in history:
        hooks.log(metrics)
    updates = -(-settings.episodes // settings.batch)
    count = settings.batch // settings.responses_per_query
    if count % processes().count:
        raise Refused(f"A batch of {count} queries does not divide among {processes().count} processes.")
    for update in progress(range(updates), "policy", "update", first):
        facts = {"kl_coefficient": kl.beta, "history": history}
        chosen = [queries[i] for i in cursor(len(queries), update * count, count, seed)]
        draw = torch.Generator().manual_seed(seed * 1_000_003 + update)
        noise = draw_noise(count, settings.responses_per_query, prompts.fmt, draw)
        with save_when_stopped(hooks.checkpoints, update, policy, optimizer, facts):
            hooks.look()
            rollout = roll_out(policy, base, score, chosen, noise, prompts, settings.micro_batch, hooks.look)
        rewards = token_rewards(rollout.scores, rollout.logprobs, rollout.reference, kl.beta)
        metrics, logprob_delta = improve(
            policy, optimizer, rollout, rewards, settings, prompts.fmt, remaining=1 - update / updates
        )
        metrics = {"update": update, "episodes": (update + 1) * settings.batch, "kl_coefficient": kl.beta, **metrics}
        metrics |= hooks.inspect(Update(update, rollout, rewards, kl.beta, logprob_delta, metrics))
        kl.update(metrics["kl"], settings.batch)
        history.append(metrics)
        hooks.log(metrics)
        hooks.show(update + 1, policy, metrics)
        save_state(hooks.checkpoints, update + 1, policy, optimizer, {"kl_coefficient": kl.beta, "history": history})
    with save_when_stopped(
        hooks.checkpoints, updates, policy, optimizer, {"kl_coefficient": kl.beta, "history": history}
    ):
        hooks.last_look()
    return unshard(policy, model)


def cursor(length: int, start: int, count: int, seed: int) -> list[int]:
    """Return which of `length` queries are numbers `start` to `start + count` of an endless series of permutations."""
    found: list[int] = []
    while len(found) < count:
        turn, place = divmod(start + len(found), length)
        order = torch.randperm(length, generator=torch.Generator().manual_seed(seed * 1_000_003 + turn)).tolist()
        found += order[place : place + count - len(found)]
    return found


def improve(
    policy: PolicyModel,
    optimizer: Adam,
    rollout: Rollout,
    rewards: Tensor,
    settings: Policy,
    fmt: TextFormat,
    *,
    remaining: float,
) -> tuple[Metrics, Tensor]:
    """Take `epochs` steps on one rollout, one minibatch each.

    Returns the update's metrics, and by how much each response [B, k] had become likelier before the last step.
    """
    group = processes()
    whitened = whiten(rewards, keep_mean=True) if settings.whiten_rewards else rewards
    advantages = gae(whitened, rollout.values, settings.gamma, settings.lam)
    returns = advantages + rollout.values
    advantages = whiten(advantages, keep_mean=False)
    wanted = (rollout.contexts, rollout.tokens, rollout.logprobs, rollout.values, advantages, returns)
    mine = (group.share_rows(tensor) for tensor in wanted)
    pieces = list(zip(*(tensor.split(settings.micro_batch) for tensor in mine), strict=True))
    total = rollout.tokens.numel()
    kl = (rollout.logprobs - rollout.reference).sum(-1)  # [B, k], nats a sequence
    metrics: Metrics = {
        "kl": float(kl.mean()),
        "kl_se": float(kl.std(correction=0)) / kl.numel() ** 0.5,
        "score": float(rollout.scores.mean()),
        "score_std": float(rollout.scores.std(correction=0)),
        "reward": float(rewards.sum(-1).mean()),
        "valid": float(rollout.valid.float().mean()),
    }
    for epoch in range(settings.epochs):
        sums = torch.zeros(1, len(SUMMED), device=rewards.device)
        changes = []
        for contexts, tokens, old_logprobs, old_values, advantage, target in pieces:
            logprobs, values, entropy = policy(contexts, tokens, fmt.temperature)
            of_policy = policy_loss(logprobs, old_logprobs, advantage, settings.clip).sum() / total
            of_value = value_loss(values, old_values, target, settings.value_clip).sum() / total
            (of_policy + settings.value_coefficient * of_value).backward()
            with torch.no_grad():
                change = logprobs - old_logprobs
                ratio = change.exp()
                clipped = ((ratio - 1).abs() > settings.clip).float()
                rest = (0.5 * change**2, clipped, entropy, ratio, (ratio - 1).abs())
                changes.append(change.sum(-1))
                sums += torch.stack([of_policy, of_value, *(tensor.sum() / total for tensor in rest)])
        group.sum_gradients(policy.parameters())
        optimizer.step(remaining)
        of_epoch = dict(zip(SUMMED, group.gather(sums).sum(0).tolist(), strict=True))
        of_ratio = {"first_ratio": of_epoch.pop("ratio"), "ratio_error": of_epoch.pop("ratio_error")}
        if epoch == 0:
            metrics |= of_ratio
    explained = 1 - float((returns - rollout.values).var()) / max(float(returns.var()), 1e-8)
    return metrics | of_epoch | {"value_explained": explained}, group.gather(torch.cat(changes))
