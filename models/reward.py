"""The reward model (paper section 2.1): a copy of the base with a scalar head, trained on people's choices.

What a newcomer would get wrong: the head is read at the last real token of the *truncated* response; the score is
g * (w . h + b) + c, and g and c are set so that the base's own valid responses have mean 0 and standard deviation 1,
before training (so that the first losses are sensible) and after it (so that the KL coefficient keeps its meaning
between rounds). Unlike the released code we measure that on truncated, valid responses: those that will be scored.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import AutoModel, PreTrainedModel

from data.campaign import Reward
from data.statistics import Proportion, proportion
from models.adam import Adam
from models.base import best_device, body, hidden_size, trainable_copy
from models.precision import autocast
from models.sampling import in_chunks, progress
from models.shared_query import shared_query, states_at_end
from models.tokens import pad_left, pad_right


class Comparison(NamedTuple):
    """One label: a query, k truncated responses, and the index of the one that was chosen."""

    query: list[int]
    responses: list[list[int]]
    best: int


class Normalisation(NamedTuple):
    """What the scores of the base's responses were before gain and bias were set."""

    n: int
    mean: float
    std: float
    gain: float
    bias: float


class RewardModel(nn.Module):
    """Body, scalar head, gain and bias. Called with queries [B, Q] and truncated responses [B, k, R]: scores [B, k]."""

    def __init__(self, transformer: PreTrainedModel, query_tokens: int, response_tokens: int) -> None:
        super().__init__()
        size = hidden_size(transformer)
        self.body = transformer
        self.head = nn.Linear(size, 1)
        nn.init.normal_(self.head.weight, std=(size + 1) ** -0.5)
        nn.init.zeros_(self.head.bias)
        self.gain = nn.Parameter(torch.ones(()))
        self.bias = nn.Parameter(torch.zeros(()))
        self.query_tokens = query_tokens
        self.response_tokens = response_tokens

    def forward(self, queries: Tensor, responses: Tensor) -> Tensor:
        row = shared_query(queries, responses)
        with autocast(queries.device):
            out = self.body(
                input_ids=row.tokens, attention_mask=row.attention, position_ids=row.positions, use_cache=False
            )
        at_end = states_at_end(out.last_hidden_state, responses, queries.shape[1]).float()
        scores: Tensor = self.gain * self.head(at_end).squeeze(-1) + self.bias
        return scores

    def tensors(self, rows: Sequence[Comparison]) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries [B, Q], responses [B, k, R] and best [B] of some comparisons with equal k."""
        device = self.gain.device
        k = len(rows[0].responses)
        queries = pad_left([row.query for row in rows], self.query_tokens)
        responses = pad_right([r for row in rows for r in row.responses], self.response_tokens)
        best = torch.tensor([row.best for row in rows])
        return queries.to(device), responses.view(len(rows), k, -1).to(device), best.to(device)

    @torch.no_grad()
    def normalise(self, rows: Sequence[Comparison]) -> Normalisation:
        """Set gain and bias so that the scores of these responses have mean 0 and (population) deviation 1."""
        self.gain.fill_(1.0)
        self.bias.zero_()
        scores = score_all(self, rows)
        std, mean = torch.std_mean(scores, correction=0)
        self.gain.fill_(1 / std)
        self.bias.fill_(-mean / std)
        return Normalisation(scores.numel(), float(mean), float(std), float(self.gain), float(self.bias))

    def save(self, folder: Path) -> None:
        """Write the body as a checkpoint of transformers, and the head beside it."""
        self.body.save_pretrained(folder, safe_serialization=True)
        rest = {name: tensor.contiguous() for name, tensor in self.state_dict().items() if not name.startswith("body.")}
        save_file(rest, folder / "head.safetensors")
        shape = {"query_tokens": self.query_tokens, "response_tokens": self.response_tokens}
        (folder / "reward.json").write_text(json.dumps(shape))


def load_reward_model(folder: Path) -> RewardModel:
    """Load a published reward model, frozen."""
    transformer = AutoModel.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="sdpa", use_safetensors=True
    )
    model = RewardModel(transformer, **json.loads((folder / "reward.json").read_text()))
    model.load_state_dict(load_file(folder / "head.safetensors"), strict=False)
    return model.eval().requires_grad_(False).to(best_device())


def new_reward_model(base: PreTrainedModel, query_tokens: int, response_tokens: int, seed: int) -> RewardModel:
    """Return an untrained reward model: the base's body and a fresh head."""
    torch.manual_seed(seed)
    return RewardModel(body(trainable_copy(base)), query_tokens, response_tokens).eval().to(best_device())


@torch.no_grad()
def score_all(model: RewardModel, rows: Sequence[Comparison], chunk: int = 64) -> Tensor:
    """Return the scores [N, k] of comparisons with equal k."""
    return torch.cat([model(*model.tensors(part)[:2]) for part in in_chunks(rows, chunk)])


def train(model: RewardModel, rows: Sequence[Comparison], settings: Reward, seed: int) -> list[dict[str, float]]:
    """Train for one epoch with linear decay; return loss and accuracy of every step.

    The loss of a label is the cross-entropy of the softmax over its k scores with the choice as target.
    """
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).tolist()
    optimizer = Adam(model.parameters(), settings.lr)
    history = []
    for start in progress(range(0, len(rows), settings.batch), "reward model", "step"):
        queries, responses, best = model.tensors([rows[i] for i in order[start : start + settings.batch]])
        scores = model(queries, responses)
        loss = cross_entropy(scores, best)
        loss.backward()
        optimizer.step(remaining=1 - start / len(rows))
        accuracy = float((scores.argmax(-1) == best).float().mean())
        history.append({"labels": start + len(best), "loss": loss.item(), "accuracy": accuracy})
    return history


class HeldOut(NamedTuple):
    """How well scores predict choices that were not trained on."""

    accuracy: Proportion
    chance: float
    loss: float


def evaluate(model: RewardModel, rows: Sequence[Comparison]) -> HeldOut:
    """Measure accuracy and loss on held-out comparisons, beside chance."""
    if not rows:
        return HeldOut(proportion(0, 0), float("nan"), float("nan"))
    scores = score_all(model, rows)
    best = torch.tensor([row.best for row in rows], device=scores.device)
    right = int((scores.argmax(-1) == best).sum())
    return HeldOut(proportion(right, len(rows)), 1 / scores.shape[1], float(cross_entropy(scores, best)))
