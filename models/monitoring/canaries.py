"""Canaries: responses of which the better is known, asked of the very object that PPO is paid by.

Of gold questions the key knows the best; it does not pass through ingest, label sets or losses, so gold also shows
labels that are wrong in a consistent way. Where a batch has no gold there are pairs that the reward model tells well
apart when it is published: they are stored with it and their scores, and whoever loads it must find the same.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypedDict

import torch

from data.batches.index import Batch
from data.batches.schema import read_key
from data.measures.intervals import Estimate, proportion
from data.paths import KEY_FILE
from models.lm.base import Base
from models.lm.prompts import Prompts
from models.lm.tokens import pad_left, pad_right
from models.ppo.policy import Score
from models.reward.dataset import question_tokens
from models.reward.preferences import Comparison


class Canary(NamedTuple):
    """A query, its responses, and which of them is best."""

    query: list[int]
    responses: list[list[int]]
    best: int


class Pair(TypedDict):
    """Two responses to a query, the better first, and what the reward model scored them when it was published."""

    query: list[int]
    responses: list[list[int]]
    scores: list[float]


MOST = 32  # pairs


def canaries(base: Base, batches: Sequence[Batch], prompts: Prompts) -> list[Canary]:
    """Return the known questions of some batches, each once."""
    found: dict[str, Canary] = {}
    for batch in batches:
        same = batch["vocabulary"] == base.vocabulary
        for row in read_key(batch.path(KEY_FILE), tokens=True):
            if row["gold"] is not None and (tokens := question_tokens(prompts, row, same)) is not None:
                found[row["item"]] = Canary(*tokens, row["gold"])
    return list(found.values())


def ranked_right(score: Score, known: Sequence[Canary], device: torch.device) -> Estimate | None:
    """Return in how many canaries the best response has the highest score; None without any."""
    right = 0
    for canary in known:
        scores = _scores(score, canary.query, canary.responses, device)
        right += scores.index(max(scores)) == canary.best
    return proportion(right, len(known)) if known else None


def chosen(held_out: Sequence[Comparison]) -> list[Canary]:
    """Return held-out labels that choose one response, as if the labeler knew."""
    firsts = [(row, row.choices[0].shares) for row in held_out if row.choices]
    return [Canary(row.query, row.responses, shares.index(1.0)) for row, shares in firsts if 1.0 in shares]


def remembered(score: Score, known: Sequence[Canary], device: torch.device) -> list[Pair]:
    """Return the pairs, best and worst of a canary that is ranked right, that are furthest apart."""
    pairs = []
    for canary in known:
        scores = _scores(score, canary.query, canary.responses, device)
        if scores[canary.best] == max(scores) > min(scores):
            ends = [canary.best, scores.index(min(scores))]
            pairs.append(Pair(query=canary.query, responses=[canary.responses[i] for i in ends],
                              scores=[scores[i] for i in ends]))  # fmt: skip
    return sorted(pairs, key=lambda pair: pair["scores"][1] - pair["scores"][0])[:MOST]


def recalled(score: Score, pairs: Sequence[Pair], device: torch.device) -> tuple[Estimate, float]:
    """Return in how many pairs the better response still scores more, and by how much scores differ on average."""
    right, error = 0, 0.0
    for pair in pairs:
        better, worse = scores = _scores(score, pair["query"], pair["responses"], device)
        right += better > worse
        error += sum(abs(a - b) for a, b in zip(scores, pair["scores"], strict=True)) / 2
    return proportion(right, len(pairs)), error / len(pairs)


@torch.no_grad()
def _scores(score: Score, query: list[int], responses: list[list[int]], device: torch.device) -> list[float]:
    found: list[float] = score(pad_left([query]).to(device), pad_right(responses)[None].to(device))[0].tolist()
    return found
