"""Supervised fine-tuning on reference responses, for campaigns that have some (paper section 2.1, "supervised + RL").

The fine-tuned model replaces the base as the start of policy and reward model, and as the policy's reference.

Differences from the paper:
1. One epoch with a cosine decay to zero.
2. Dropout, in this stage only.
3. The loss is over reference tokens alone, not over the context.

Shapes: contexts [B, C] padded left, references [B, 1, R] padded right.
A run's start is fine-tuned by `python -m models.steps supervised JOB`, as `andon retrain CAMPAIGN` starts it.
"""

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from data.campaign.settings import Supervised
from data.errors import Refused
from data.runs.step_facts import SupervisedStep
from models.lm.base import trainable_copy
from models.lm.head import body_of, logits
from models.lm.layout import response_states
from models.lm.memory import fitting, shape_of
from models.lm.precision import loss_scale
from models.lm.tokens import PAD, pad_left, pad_right
from models.training.adam import Adam
from models.training.checkpoint import restore_state, save_state, save_when_stopped
from models.training.exhausted import SizeLimit, saved_if_memory_runs_out
from models.training.hooks import NO_HOOKS, Hooks
from models.training.loop import Look, in_chunks, progress, unwatched
from models.training.processes import processes
from models.training.recompute import recompute
from models.training.sharding import shard, unshard

AT_ONCE = 32  # examples of the validation loss that are computed together
Example = tuple[list[int], list[int]]  # a context and its reference response


def widest(examples: Sequence[Example]) -> tuple[int, int]:
    """Return the largest number of tokens of an example, and of its reference response."""
    return max(len(context) + len(response) for context, response in examples), max(len(r) for _, r in examples)


def response_loss(model: PreTrainedModel, examples: Sequence[Example]) -> Tensor:
    """Return the sum of the cross-entropy over all reference tokens."""
    device = next(model.parameters()).device
    contexts = pad_left([context for context, _ in examples]).to(device)
    responses = pad_right([response for _, response in examples]).to(device)[:, None, :]
    before = response_states(body_of(model), contexts, responses)
    real = responses != PAD
    return cross_entropy(logits(model, before[real]), responses[real], reduction="sum")


def fine_tune(
    base: PreTrainedModel,
    examples: Sequence[Example],
    settings: Supervised,
    seed: int,
    hooks: Hooks = NO_HOOKS,
) -> tuple[PreTrainedModel, list[SupervisedStep]]:
    """Fine-tune a copy of the base; return it in eval mode, and the loss of every step in nats a token."""
    group = processes()
    tuned = trainable_copy(base)
    for module in tuned.modules():
        if isinstance(module, nn.Dropout):
            module.p = settings.dropout
        elif isinstance(
            getattr(module, "attention_dropout", None), float
        ):  # models like Llama, which have no Dropout modules
            setattr(module, "attention_dropout", settings.dropout)  # noqa: B010  (modules have no such type)
    tuned.train()
    if hooks.recompute:
        recompute(tuned)
    model = shard(tuned)
    device = next(model.parameters()).device
    optimizer = Adam(model.parameters(), settings.lr, loss_scale(device))
    first, facts = restore_state(hooks.checkpoints, model, optimizer)
    history: list[SupervisedStep] = facts.get("history", [])
    row = shape_of(base).training(*widest(examples), hooks.recompute)
    limit = SizeLimit("micro_batch in [supervised]", settings.micro_batch, partial(fitting, device, row))
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(seed)).tolist()
    for step in progress(range(-(-len(order) // settings.batch)), "fine-tuning", "step", first):
        state = (hooks.checkpoints, step, model, optimizer, {"history": history})
        with save_when_stopped(*state):
            hooks.look()
        torch.manual_seed((seed * 1_000_003 + step) * group.count + group.rank)  # random numbers of dropout
        batch = sorted((examples[i] for i in order[step * settings.batch :][: settings.batch]), key=lambda e: len(e[0]))
        tokens = sum(len(response) for _, response in batch)
        loss = torch.zeros(1, device=device)
        with saved_if_memory_runs_out(*state, limit):
            for part, counts in group.micro_batches(batch, settings.micro_batch):
                of_part = response_loss(model, part) * counts / tokens
                optimizer.backward(of_part)
                loss += of_part.detach()
        group.sum_gradients(model.parameters())
        optimizer.step(remaining=0.5 * (1 + math.cos(math.pi * step * settings.batch / len(order))))
        mean = float(group.gather(loss).sum())
        if not math.isfinite(mean):
            raise Refused(f"The fine-tuning diverged: its loss at step {step} is {mean}. Lower lr in [supervised].")
        history.append({"examples": step * settings.batch + len(batch), "loss": mean})
        save_state(hooks.checkpoints, step + 1, model, optimizer, {"history": history})
    return unshard(model, tuned).eval().requires_grad_(False), history


@torch.no_grad()
def validation_loss(model: PreTrainedModel, examples: Sequence[Example], look: Look = unwatched) -> float:
    """Return the mean cross-entropy of held-out reference responses in nats a token."""
    total = 0.0
    for part in in_chunks(examples, AT_ONCE):
        look()
        total += float(response_loss(model, part))
    return total / sum(len(response) for _, response in examples)
