"""PPO against a reward model, held near the base by KL (paper section 2.1; released code for what the paper omits).

Differences from the released code:
1. The k responses to a query are sampled and trained on together, so the query is computed once.
2. Advantages and rewards are whitened over the whole batch before it is split. So neither the size of a micro-batch
   nor the number of processes changes a result.
3. Log-probabilities and values of a rollout are those of sampling, not of a second pass.

The whole response is trained on, including the part after its truncation. Only the reward model sees it truncated.

Shapes: B queries in a batch, k responses to each, R tokens in a response. A reward, an advantage and a value are
[B, k, R], a score is [B, k].
A run's policy is trained by `python -m models.steps policy JOB`, as `andon retrain CAMPAIGN` starts it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

from data.campaign.settings import Policy, TextFormat
from data.errors import Refused
from data.runs.step_facts import Improvement, Inspection, PolicyUpdate
from models.lm.memory import fitting, shape_of
from models.lm.precision import loss_scale
from models.lm.prompts import Prompts
from models.lm.sampling import draw_noise
from models.ppo.objective import KLController, gae, policy_loss, token_rewards, value_loss, whiten
from models.ppo.policy import PolicyModel, Rollout, Score, roll_out
from models.reward.model import RewardModel
from models.training.adam import Adam
from models.training.checkpoint import is_finite, restore_state, save_state, save_when_stopped
from models.training.exhausted import SizeLimit, saved_if_memory_runs_out
from models.training.hooks import Hooks
from models.training.loop import Look, progress, unwatched
from models.training.processes import processes
from models.training.recompute import recompute
from models.training.sharding import shard, unshard

SUMMED = 7  # metrics that are summed over tokens in every epoch


class Update(NamedTuple):
    """The parts of one update, for the monitor that checks it."""

    number: int
    rollout: Rollout
    rewards: Tensor  # [B, k, R], of every token
    kl_coefficient: float  # beta in the rewards
    logprob_delta: Tensor  # [B, k], increase of each response's log-prob in all epochs but the last
    metrics: PolicyUpdate


@dataclass(frozen=True)
class PolicyHooks(Hooks):
    """The hooks of PPO.

    `last_look` is called after the last update. `log` gets the metrics of each update; after a restart it gets those of
    earlier updates first. `show` gets the number of updates so far, the policy and the last metrics. `inspect` gets an
    update and returns further metrics of it.
    """

    last_look: Look = unwatched
    log: Callable[[PolicyUpdate], None] = lambda metrics: None
    show: Callable[[int, PolicyModel, PolicyUpdate], None] = lambda updates, policy, metrics: None
    inspect: Callable[[Update], Inspection] = lambda update: {}


def train_policy(
    settings: Policy,
    prompts: Prompts,
    base: PreTrainedModel,
    score: Score,
    queries: Sequence[list[int]],
    seed: int,
    hooks: PolicyHooks = PolicyHooks(),
    value_from: RewardModel | None = None,
) -> PolicyModel:
    """Train a policy from the base, which is also its reference, and return it.

    A separate value model starts from the reward model `value_from`. Without it, the value is a head on the policy's
    body. Raises Refused if the queries of a batch cannot be shared equally by all processes.
    """
    device = next(base.parameters()).device
    model = PolicyModel(base, value_from).to(device)
    if hooks.recompute:
        recompute(model)
    policy = shard(model)
    optimizer = Adam(policy.parameters(), settings.lr, loss_scale(device))
    kl = KLController(settings)
    first, facts = restore_state(hooks.checkpoints, policy, optimizer)
    kl.beta = facts.get("kl_coefficient", kl.beta)
    history: list[PolicyUpdate] = facts.get("history", [])
    for earlier in history:
        hooks.log(earlier)
    updates = -(-settings.episodes // settings.batch)
    count = settings.batch // settings.responses_per_query
    if count % processes().count:
        raise Refused(
            f"A batch has {count} queries, which {processes().count} processes cannot share equally. Change the number "
            "of processes, or batch in [policy]."
        )
    fmt, k = prompts.fmt, settings.responses_per_query
    predicted = k * fmt.response_tokens
    row = shape_of(base).training(fmt.query_tokens + predicted, predicted, hooks.recompute)
    for update in progress(range(updates), "policy", "update", first):
        facts = {"kl_coefficient": kl.beta, "history": history}
        chosen = [queries[i] for i in cursor(len(queries), update * count, count, seed)]
        draw = torch.Generator().manual_seed(seed * 1_000_003 + update)
        noise = draw_noise(count, k, fmt, draw)
        state = (hooks.checkpoints, update, policy, optimizer, facts)
        limit = SizeLimit("micro_batch in [policy]", settings.micro_batch, partial(fitting, device, row))
        with save_when_stopped(*state), saved_if_memory_runs_out(*state, limit):
            hooks.look()
            rollout = roll_out(policy, base, score, chosen, noise, prompts, settings.micro_batch, hooks.look)
        rewards = token_rewards(rollout.scores, rollout.logprobs, rollout.reference, kl.beta)
        with saved_if_memory_runs_out(*state, limit):
            improvement, logprob_delta = improve(
                policy, optimizer, rollout, rewards, settings, fmt, remaining=1 - update / updates
            )
        episodes = (update + 1) * settings.batch
        metrics: PolicyUpdate = {
            "update": update,
            "episodes": episodes,
            "kl_coefficient": kl.beta,
            **improvement,
            **Inspection(),  # the monitor's measures follow
        }
        metrics = {**metrics, **hooks.inspect(Update(update, rollout, rewards, kl.beta, logprob_delta, metrics))}
        kl.update(metrics["kl"], settings.batch)
        if not is_finite(dict(improvement)):
            hooks.last_look()  # the monitor has pulled the cord, unless a person released this pull before
            raise Refused(f"The policy diverged: in update {update} a metric is not a number. Lower lr in [policy].")
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
    """Return elements `start` to `start + count` of an endless series of permutations of range(length)."""
    numbers: list[int] = []
    while len(numbers) < count:
        turn, place = divmod(start + len(numbers), length)
        order = torch.randperm(length, generator=torch.Generator().manual_seed(seed * 1_000_003 + turn))
        numbers += order[place : place + count - len(numbers)].tolist()
    return numbers


def improve(
    policy: PolicyModel,
    optimizer: Adam,
    rollout: Rollout,
    rewards: Tensor,
    settings: Policy,
    fmt: TextFormat,
    *,
    remaining: float,
) -> tuple[Improvement, Tensor]:
    """Take `epochs` steps on one rollout, one minibatch each.

    Returns the update's metrics, and the increase of each response's log-prob [B, k] before the last step.
    """
    group = processes()
    whitened = whiten(rewards, keep_mean=True) if settings.whiten_rewards else rewards
    advantages = gae(whitened, rollout.values, settings.gamma, settings.lam)
    returns = advantages + rollout.values
    advantages = whiten(advantages, keep_mean=False)
    tensors = (rollout.contexts, rollout.tokens, rollout.logprobs, rollout.values, advantages, returns)
    mine = (group.share_rows(tensor) for tensor in tensors)
    pieces = list(zip(*(tensor.split(settings.micro_batch) for tensor in mine), strict=True))
    total = rollout.tokens.numel()
    kl = (rollout.logprobs - rollout.reference).sum(-1)  # [B, k], nats a sequence
    by_epoch: list[list[float]] = []
    deltas: list[Tensor] = []
    for _ in range(settings.epochs):
        sums = torch.zeros(1, SUMMED, device=rewards.device)
        changes = []  # of each response's log-prob
        for contexts, tokens, old_logprobs, old_values, advantage, target in pieces:
            logprobs, values, entropy = policy(contexts, tokens, fmt.temperature)
            of_policy = policy_loss(logprobs, old_logprobs, advantage, settings.clip).sum() / total
            of_value = value_loss(values, old_values, target, settings.value_clip).sum() / total
            optimizer.backward(of_policy + settings.value_coefficient * of_value)
            with torch.no_grad():
                change = logprobs - old_logprobs
                ratio = change.exp()
                clipped = ((ratio - 1).abs() > settings.clip).float()
                rest = (0.5 * change**2, clipped, entropy, ratio, (ratio - 1).abs())
                changes.append(change.sum(-1))
                sums += torch.stack([of_policy, of_value, *(tensor.sum() / total for tensor in rest)])
        group.sum_gradients(policy.parameters())
        optimizer.step(remaining)
        deltas.append(group.gather(torch.cat(changes)))
        by_epoch.append(group.gather(sums).sum(0).tolist())
    *_, first_ratio, ratio_error = by_epoch[0]
    loss_policy, loss_value, approx_kl, clip_fraction, entropy_of_last, *_ = by_epoch[-1]
    metrics: Improvement = {
        "kl": float(kl.mean()),
        "kl_se": float(kl.std(correction=0)) / kl.numel() ** 0.5,
        "score": float(rollout.scores.mean()),
        "score_std": float(rollout.scores.std(correction=0)),
        "reward": float(rewards.sum(-1).mean()),
        "valid": float(rollout.valid.float().mean()),
        "first_ratio": first_ratio,
        "ratio_error": ratio_error,
        "rounding": float(deltas[0].std(correction=0)),
        "loss_policy": loss_policy,
        "loss_value": loss_value,
        "approx_kl": approx_kl,
        "clip_fraction": clip_fraction,
        "entropy": entropy_of_last,
        "value_explained": 1 - float((returns - rollout.values).var()) / max(float(returns.var()), 1e-8),
    }
    return metrics, deltas[-1]
