"""Choosing questions: those on which the reward models disagree, and no two alike.

A part of every batch is drawn at random and stays so: it measures without bias, and asks what no reward model thought
of. For the rest more questions are sampled than are asked, and one after the other is taken that promises most:
disagreement times distance to the nearest query taken so far.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from data.batches.composition import DISAGREEMENT, RANDOM
from data.batches.schema import Question
from models.lm.base import Base, hidden_states
from models.lm.shared_query import query_positions
from models.lm.tokens import PAD, pad_left
from models.reward.ensemble import Ensemble
from models.reward.preferences import Comparison
from models.training.loop import in_chunks

CANDIDATES = 4  # sampled for each question that is chosen among them


def disagreement(scores: Tensor) -> Tensor:
    """Return how far reward models, scores [members, N, k], disagree about the best of each question [N], in nats.

    Entropy of their mean choice less their mean entropy: zero where all are unsure of the same (Houlsby et al. 2011).
    """
    choices = scores.double().softmax(-1)
    return _entropy(choices.mean(0)) - _entropy(choices).mean(0)


def _entropy(shares: Tensor) -> Tensor:
    entropy: Tensor = -torch.special.xlogy(shares, shares).sum(-1)
    return entropy


@torch.no_grad()
def embeddings(base: Base, queries: Sequence[list[int]], chunk: int = 64) -> Tensor:
    """Return a unit vector [N, d] for each query: the base's mean state over its tokens, less that of all queries."""
    device = next(base.model.parameters()).device
    means = []
    for part in in_chunks(queries, chunk):
        tokens = pad_left(part).to(device)
        real = tokens != PAD
        width = tokens.shape[1]
        causal = torch.ones(width, width, dtype=torch.bool, device=device).tril()
        attention = (causal & real[:, None, None, :]) | torch.eye(width, dtype=torch.bool, device=device)
        out = hidden_states(base.model, tokens.clamp(min=0), attention, query_positions(tokens), use_cache=False)
        states = out.last_hidden_state.float() * real[..., None]
        means.append((states.sum(1) / real.sum(1, keepdim=True)).cpu())
    together = torch.cat(means)
    return torch.nn.functional.normalize(together - together.mean(0), dim=-1)


def greedy(acquisition: Tensor, places: Tensor, count: int) -> list[int]:
    """Take `count` of N, one at a time: the one with the highest acquisition score [N] times its distance to the
    nearest of those taken, whose embeddings are [N, d]."""
    nearest = torch.full_like(acquisition, -1.0)  # cosine
    left = torch.ones_like(acquisition, dtype=torch.bool)
    taken: list[int] = []
    for _ in range(min(count, len(acquisition))):
        gain = (acquisition.clamp(min=1e-9) * (1 - nearest)).masked_fill(~left, -1.0)
        best = int(gain.argmax())
        taken.append(best)
        left[best] = False
        nearest = torch.maximum(nearest, (places @ places[best]).to(nearest))
    return taken


def drawn_at_random(questions: Iterable[Question]) -> Iterator[Question]:
    return (replace(question, selection_reason=RANDOM) for question in questions)


def chosen_by_disagreement(
    base: Base, ensemble: Ensemble, candidates: Sequence[Question], count: int
) -> list[Question]:
    """Return `count` of the candidates, each with its acquisition in nats, in the order in which they were taken."""
    rows = [Comparison(q.query_tokens, [sample.tokens for sample in q.samples]) for q in candidates]
    acquisition = disagreement(ensemble.scores(rows)).cpu()
    taken = greedy(acquisition, embeddings(base, [q.query_tokens for q in candidates]), count)
    return [replace(candidates[n], selection_reason=DISAGREEMENT, selection_score=float(acquisition[n])) for n in taken]
