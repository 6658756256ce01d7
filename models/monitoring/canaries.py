"""Canaries: questions with a known best response that check the reward model which PPO uses.

The key of a batch has the best response of gold questions. It does not pass through ingest, label sets or losses, so
gold also shows labels that are consistently wrong. In addition, pairs with clearly different scores are stored with a
reward model when it is published. A process that loads it must compute the same scores.
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
    """A query, its responses, and the number of the best one."""

    query: list[int]
    responses: list[list[int]]
    best: int


class Pair(TypedDict):
    """Two responses to a query, the better one first, and their scores when the reward model was published."""

    query: list[int]
    responses: list[list[int]]
    scores: list[float]


MOST = 32  # largest number of stored pairs


def canaries(base: Base, batches: Sequence[Batch], prompts: Prompts) -> list[Canary]:
    """Return the gold questions of some batches, each once."""
    by_item: dict[str, Canary] = {}
    for batch in batches:
        same = batch["vocabulary"] == base.vocabulary
        for row in read_key(batch.path(KEY_FILE), tokens=True):
            if row["gold"] is not None and (tokens := question_tokens(prompts, row, same)) is not None:
                by_item[row["item"]] = Canary(*tokens, row["gold"])
    return list(by_item.values())


def ranked_right(score: Score, known_best: Sequence[Canary], device: torch.device) -> Estimate | None:
    """Return the share of canaries whose best response has the highest score; None without canaries."""
    right = 0
    for canary in known_best:
        scores = _scores(score, canary.query, canary.responses, device)
        right += scores.index(max(scores)) == canary.best
    return proportion(right, len(known_best)) if known_best else None


def chosen(held_out: Sequence[Comparison]) -> list[Canary]:
    """Return held-out labels with one chosen response as canaries."""
    firsts = [(row, row.choices[0].shares) for row in held_out if row.choices]
    return [Canary(row.query, row.responses, shares.index(1.0)) for row, shares in firsts if 1.0 in shares]


def remembered(score: Score, known_best: Sequence[Canary], device: torch.device) -> list[Pair]:
    """Return the pairs to store: best and worst response of correctly ranked canaries with the largest differences."""
    pairs = []
    for canary in known_best:
        scores = _scores(score, canary.query, canary.responses, device)
        if scores[canary.best] == max(scores) > min(scores):
            ends = [canary.best, scores.index(min(scores))]
            pairs.append(Pair(query=canary.query, responses=[canary.responses[i] for i in ends],
                              scores=[scores[i] for i in ends]))  # fmt: skip
    return sorted(pairs, key=lambda pair: pair["scores"][1] - pair["scores"][0])[:MOST]


def recalled(score: Score, pairs: Sequence[Pair], device: torch.device) -> tuple[Estimate, float]:
    """Return the share of pairs whose better response still scores more, and the mean change of the scores."""
    right, error = 0, 0.0
    for pair in pairs:
        better, worse = scores = _scores(score, pair["query"], pair["responses"], device)
        right += better > worse
        error += sum(abs(a - b) for a, b in zip(scores, pair["scores"], strict=True)) / 2
    return proportion(right, len(pairs)), error / len(pairs)


@torch.no_grad()
def _scores(score: Score, query: list[int], responses: list[list[int]], device: torch.device) -> list[float]:
    scores: list[float] = score(pad_left([query]).to(device), pad_right(responses)[None].to(device))[0].tolist()
    return scores
