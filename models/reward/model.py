"""The reward model (paper section 2.1): a copy of the base with a scalar head, trained on people's choices.

Two details are easy to get wrong:
1. The head reads the state at the last real token of the truncated response.
2. The score is g * (w . h + b) + c. Gain g and bias c are set so that the base's own responses have mean 0 and standard
   deviation 1. This is done before training, for a sensible first loss, and after it, so that a KL coefficient means
   the same for every reward model.

Differences from the paper and the released code:
1. Gain and bias are measured on truncated, valid responses of the base, which are what PPO scores.
2. The k responses to a query are one row, so the query is computed once (models/lm/shared_query.py).
3. A label may be a ranking, a tie or ratings (models/reward/preferences.py).

Shapes: queries [B, Q] padded left, responses [B, k, R] padded right, scores [B, k].
A run's reward model is trained by `python -m models.steps reward JOB`, as `andon retrain CAMPAIGN` starts it.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel

from data.campaign.settings import Reward
from data.errors import Refused
from data.measures.calibration import Bin, calibration
from data.measures.intervals import Estimate, proportion
from data.runs.step_facts import NormalisationFacts, RewardStep
from models.lm.base import best_device, hidden_size, trainable_copy
from models.lm.checkpoint_folder import HEAD_FILE
from models.lm.head import body_of
from models.lm.layout import end_states
from models.lm.memory import fitting, shape_of
from models.lm.precision import loss_scale
from models.lm.tokens import pad_left, pad_right
from models.reward.classifier import Saved, save_classifier
from models.reward.preferences import (
    Comparison,
    agreement,
    best_liked,
    most_responses,
    preference_loss,
    targets,
    widest,
)
from models.training.adam import Adam
from models.training.checkpoint import restore_state, save_state, save_when_stopped
from models.training.exhausted import SizeLimit, saved_if_memory_runs_out
from models.training.hooks import NO_HOOKS, Hooks
from models.training.loop import Look, in_chunks, progress, unwatched
from models.training.processes import processes
from models.training.recompute import recompute
from models.training.sharding import shard, unshard

AT_ONCE = 64  # comparisons that one process scores together


class Normalisation(NamedTuple):
    """Mean and standard deviation of the base's scores before normalisation, and the gain and bias set from them."""

    n: int
    mean: float
    std: float
    gain: float
    bias: float

    def facts(self) -> NormalisationFacts:
        return NormalisationFacts(n=self.n, mean=self.mean, std=self.std, gain=self.gain, bias=self.bias)


class RewardModel(nn.Module):
    """Body, scalar head, gain and bias. Called with queries [B, Q] and truncated responses [B, k, R]: scores [B, k]."""

    def __init__(self, transformer: PreTrainedModel) -> None:
        super().__init__()
        size = hidden_size(transformer)
        self.body = transformer
        self.head = nn.Linear(size, 1)
        nn.init.normal_(self.head.weight, std=(size + 1) ** -0.5)
        nn.init.zeros_(self.head.bias)
        self.gain = nn.Parameter(torch.ones(()))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, queries: Tensor, responses: Tensor) -> Tensor:
        at_end = end_states(self.body, queries, responses)
        scores: Tensor = self.gain * self.head(at_end).squeeze(-1) + self.bias
        return scores

    def tensors(self, rows: Sequence[Comparison]) -> tuple[Tensor, Tensor]:
        """Return queries [B, Q] and responses [B, k, R] of comparisons, as wide as the longest of them.

        A comparison with fewer than k responses gets empty ones.
        """
        device, k = self.gain.device, most_responses(rows)
        queries = pad_left([row.query for row in rows])
        filled = [[*row.responses, *[[]] * (k - len(row.responses))] for row in rows]
        responses = pad_right([response for row in filled for response in row])
        return queries.to(device), responses.view(len(rows), -1, responses.shape[1]).to(device)

    @torch.no_grad()
    def normalise(self, rows: Sequence[Comparison], look: Look = unwatched) -> Normalisation:
        """Set gain and bias so that the scores of these responses have mean 0 and (population) standard deviation 1."""
        self.gain.fill_(1.0)
        self.bias.zero_()
        scores = score_all(self, rows, look)
        std, mean = torch.std_mean(scores, correction=0)
        if not 0 < float(std) < torch.inf:
            raise Refused(
                f"The reward model gives {len(rows)} responses of the base scores with a deviation of {float(std):g}: "
                "it has diverged, or prefers nothing. Lower lr in [reward]."
            )
        self.gain.fill_(1.0 / std)
        self.bias.fill_(-self.gain * mean)
        return Normalisation(scores.numel(), float(mean), float(std), float(self.gain), float(self.bias))

    @torch.no_grad()
    def save(self, folder: Path, padding: int | None = None) -> Saved:
        """Write a sequence classifier of transformers, and next to it the head as it was trained.

        `padding` is a token at which no response ends.
        """
        rest = (self.gain * self.head.bias + self.bias).squeeze()
        saved = save_classifier(self.body, self.gain * self.head.weight, rest, padding, folder)
        own = {name: tensor.contiguous() for name, tensor in self.state_dict().items() if not name.startswith("body.")}
        save_file(own | saved.own, folder / HEAD_FILE)
        return saved


def load_reward_model(folder: Path) -> RewardModel:
    """Load a published reward model, frozen."""
    transformer = AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False)
    model = RewardModel(transformer)
    rest = load_file(folder / HEAD_FILE)
    if lacking := [name for name in model.state_dict() if not name.startswith("body.") and name not in rest]:
        raise Refused(f"{folder / HEAD_FILE} lacks {lacking[0]} of the reward model. Restore the file.")
    model.load_state_dict(rest, strict=False)
    return model.eval().requires_grad_(False).to(best_device())


def new_reward_model(base: PreTrainedModel, seed: int) -> RewardModel:
    """Return an untrained reward model: the base's body and a fresh head."""
    torch.manual_seed(seed)
    return RewardModel(body_of(trainable_copy(base))).eval().to(best_device())


@torch.no_grad()
def score_all(model: RewardModel, rows: Sequence[Comparison], look: Look = unwatched) -> Tensor:
    """Return the scores [N, k] of comparisons; -inf for a response that a comparison with fewer than k lacks.

    Queries of similar length are in one chunk, which has little padding. The processes share every chunk.
    """
    group, device = processes(), model.gain.device
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].query))
    k = most_responses(rows)
    at_once = group.smallest(fitting(device, shape_of(model.body).scoring(widest(rows)), AT_ONCE))
    scores = []
    for part in in_chunks(order, at_once * group.count):
        look()
        mine = [rows[i] for i in group.share(part) or part[:1]]
        part_scores = model(*model.tensors(mine)).masked_fill(~targets(mine).present.to(device), -torch.inf)
        part_scores = nn.functional.pad(part_scores, (0, k - part_scores.shape[1]), value=-torch.inf)
        scores.append(group.gather_ragged(part_scores, len(part)))
    together = torch.cat(scores)
    return torch.empty_like(together).index_copy_(0, torch.tensor(order, device=together.device), together)


def train_reward_model(
    model: RewardModel,
    rows: Sequence[Comparison],
    settings: Reward,
    seed: int,
    hooks: Hooks = NO_HOOKS,
) -> list[RewardStep]:
    """Train for one epoch with linear decay; return loss and accuracy of every step.

    The loss of a batch is the mean over its labels. With checkpoints, a killed training continues from the last one. If
    the line is stopped, the hook `look` raises, and the state is saved.
    """
    group = processes()
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).tolist()
    if hooks.recompute:
        recompute(model)
    trained = shard(model)
    optimizer = Adam(trained.parameters(), settings.lr, loss_scale(model.gain.device))
    first, facts = restore_state(hooks.checkpoints, trained, optimizer)
    history: list[RewardStep] = facts.get("history", [])
    row = shape_of(model.body).training(widest(rows), 0, hooks.recompute)
    limit = SizeLimit("micro_batch in [reward]", settings.micro_batch, partial(fitting, model.gain.device, row))
    for step in progress(range(-(-len(rows) // settings.batch)), "reward model", "step", first):
        state = (hooks.checkpoints, step, trained, optimizer, {"history": history})
        with save_when_stopped(*state):
            hooks.look()
        start = step * settings.batch
        batch = sorted((rows[i] for i in order[start : start + settings.batch]), key=lambda row: len(row.query))
        with saved_if_memory_runs_out(*state, limit):
            loss, right = _backward(trained, optimizer, batch, settings.micro_batch)
        if not math.isfinite(loss):
            raise Refused(f"The reward model diverged: its loss at step {step} is {loss}. Lower lr in [reward].")
        group.sum_gradients(trained.parameters())
        optimizer.step(remaining=1 - start / len(rows))
        history.append({"labels": start + len(batch), "loss": loss, "accuracy": right})
        save_state(hooks.checkpoints, step + 1, trained, optimizer, {"history": history})
    unshard(trained, model)
    return history


def _backward(
    model: RewardModel, optimizer: Adam, batch: Sequence[Comparison], micro_batch: int
) -> tuple[float, float]:
    """Add the gradient of the batch's mean loss, micro-batch by micro-batch; return that loss, and the accuracy."""
    sums, group = torch.zeros(1, 2), processes()
    for part, counts in group.micro_batches(batch, micro_batch):
        label = targets(part).to(model.gain.device)
        scores = model(*model.tensors(part))
        loss = preference_loss(scores, label).sum() * counts / len(batch)
        optimizer.backward(loss)
        sums += torch.tensor([[loss.item(), counts * float(agreement(scores, label).sum()) / len(batch)]])
    loss_sum, right = group.gather(sums.to(model.gain.device)).sum(0).tolist()
    return loss_sum, right


class HeldOut(NamedTuple):
    """Measures of a reward model on held-out comparisons."""

    accuracy: Estimate
    chance: float
    of_one_best: Estimate | None  # accuracy on labels with one best response, which can be compared with agreement
    loss: float
    calibration: tuple[float, list[Bin]] | None  # expected error and bins; None if no label has one best response


def measure_held_out(scores_of: Callable[[Sequence[Comparison]], Tensor], rows: Sequence[Comparison]) -> HeldOut:
    """Measure the scores [members, N, k] of held-out comparisons."""
    scores = scores_of(rows).mean(0)
    label = targets(rows).to(scores.device)
    right = agreement(scores, label)
    liked = best_liked(label).double().sum(-1) / label.present.sum(-1)
    chance = float(liked.mean())  # more than 1 / k if several tie for the first place
    loss = float(preference_loss(scores, label).mean())
    accuracy = proportion(float(right.sum()), len(rows))
    bests = {number: best for number, row in enumerate(rows) if (best := _best_of_all(row)) is not None}
    if not bests:
        return HeldOut(accuracy, chance, None, loss, None)
    numbers = list(bests)
    of_one_best = proportion(float(right[numbers].sum()), len(numbers))
    return HeldOut(accuracy, chance, of_one_best, loss, calibration([*bests.values()], scores[numbers].tolist()))


def _best_of_all(row: Comparison) -> int | None:
    """Return the response that was chosen among all; None for ties, ratings and choices among some."""
    if not row.choices or len(row.choices[0].among) < len(row.responses) or max(row.choices[0].shares) < 1:
        return None
    return row.choices[0].among[row.choices[0].shares.index(1)]
