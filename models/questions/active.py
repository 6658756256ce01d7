"""Active selection: questions on which the reward models disagree, and which differ from each other.

A part of every batch is drawn at random. It measures without bias, and contains questions that no reward model would
select. For the rest, more questions are sampled than needed. They are selected one at a time, by the highest product of
disagreement and distance to the nearest selected query.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from data.batches.composition import DISAGREEMENT, RANDOM
from data.batches.schema import Question
from models.lm.base import Base
from models.lm.head import body_of
from models.lm.layout import response_states
from models.lm.tokens import PAD, pad_right
from models.reward.ensemble import Ensemble
from models.reward.preferences import Comparison
from models.training.loop import in_chunks

CANDIDATES = 4  # number of sampled questions for each selected one


def disagreement(scores: Tensor) -> Tensor:
    """Return the disagreement of reward models about the best response of each question [N], in nats.

    `scores` are [members, N, k]. The disagreement is the entropy of the mean choice minus the mean entropy (Houlsby et
    al. 2011). It is zero if all models have the same distribution, even an uncertain one.
    """
    choices = scores.double().softmax(-1)
    return _entropy(choices.mean(0)) - _entropy(choices).mean(0)


def _entropy(shares: Tensor) -> Tensor:
    entropy: Tensor = -torch.special.xlogy(shares, shares).sum(-1)
    return entropy


@torch.no_grad()
def embeddings(base: Base, queries: Sequence[list[int]], chunk: int = 64) -> Tensor:
    """Return a unit vector [N, d] for each query: the base's mean state over its tokens, minus that of all queries."""
    device = next(base.model.parameters()).device
    means = []
    for part in in_chunks(queries, chunk):
        first = torch.tensor([[query[0]] for query in part], device=device)
        behind = pad_right([[*query[1:], 0] for query in part]).to(device)  # each after a state of the query
        real = behind != PAD
        states = response_states(body_of(base.model), first, behind[:, None])[:, 0] * real[..., None]
        means.append((states.sum(1) / real.sum(1, keepdim=True)).cpu())
    together = torch.cat(means)
    return torch.nn.functional.normalize(together - together.mean(0), dim=-1)


def greedy(acquisition: Tensor, vectors: Tensor, count: int) -> list[int]:
    """Select `count` of N one at a time, and return their numbers in this order.

    Each step selects the highest product of the acquisition score [N] and the distance to the nearest selected one, by
    `vectors` [N, d].
    """
    nearest = torch.full_like(acquisition, -1.0)  # cosine similarity to the nearest selected one
    free = torch.ones_like(acquisition, dtype=torch.bool)
    selected: list[int] = []
    for _ in range(min(count, len(acquisition))):
        gain = (acquisition.clamp(min=1e-9) * (1 - nearest)).masked_fill(~free, -1.0)
        best = int(gain.argmax())
        selected.append(best)
        free[best] = False
        nearest = torch.maximum(nearest, (vectors @ vectors[best]).to(nearest))
    return selected


def drawn_at_random(questions: Iterable[Question]) -> Iterator[Question]:
    """Mark questions as drawn at random."""
    return (replace(question, selection_reason=RANDOM) for question in questions)


def chosen_by_disagreement(
    base: Base, ensemble: Ensemble, candidates: Sequence[Question], count: int
) -> list[Question]:
    """Return `count` of the candidates in the order of selection, each with its disagreement in nats."""
    rows = [Comparison(q.query_tokens, [sample.tokens for sample in q.samples]) for q in candidates]
    scores = disagreement(ensemble.scores(rows)).cpu()
    selected = greedy(scores, embeddings(base, [q.query_tokens for q in candidates]), count)
    return [replace(candidates[n], selection_reason=DISAGREEMENT, selection_score=float(scores[n])) for n in selected]
