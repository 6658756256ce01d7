"""Sampling responses: fixed length, temperature, no top-k, no stop at end of text (paper, section 2.1; released code).

Where the model allows it, the query is prefilled once, and the k responses follow it in one key-value cache
(models/lm/rows.py). Log-probabilities and values come from the sampling pass itself, so PPO needs no second pass over
its rollouts.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm
from transformers import PreTrainedModel

from data.campaign.settings import TextFormat
from models.lm.head import body_of, logits
from models.lm.layout import Decoding, layout_of
from models.lm.memory import fitting, shape_of
from models.lm.pieces import in_pieces
from models.lm.prompts import Prompts
from models.lm.rows import Rows
from models.lm.tokens import PAD, pad_left
from models.training.loop import Look, in_chunks, unwatched

MOST_TRIES = 24  # passes for one query
AT_ONCE = {"cpu": 64, "cuda": 512}  # queries in a pass
TOKENS_A_LOOK = 8  # tokens between two looks at the cord


class Samples(NamedTuple):
    """k responses to each of B queries."""

    tokens: Tensor  # [B, k, R]
    logprobs: Tensor  # [B, k, R], of each token at the sampling temperature
    values: Tensor  # [B, k, R], of the state before each token; zero without a value head


def draw_noise(queries: int, k: int, fmt: TextFormat, draw: torch.Generator) -> Tensor:
    """Draw the random numbers [B, k, R] that decide k responses to each query."""
    return torch.rand(queries, k, fmt.response_tokens, generator=draw)


@torch.no_grad()
def sample(
    model: PreTrainedModel,
    queries: Tensor,
    noise: Tensor,
    fmt: TextFormat,
    value_head: nn.Module | None = None,
    look: Look = unwatched,
) -> Samples:
    """Sample k responses to each query [B, Q] (padded left) as a function of the model and of `noise` [B, k, R].

    So the responses of a row depend neither on its batch nor on the process or device that samples it.
    """
    decoding = Decoding(body_of(model), queries, noise.shape[1])
    tokens: list[Tensor] = []
    logprobs: list[Tensor] = []
    values: list[Tensor] = []
    for points in noise.to(queries.device).unbind(-1):
        if len(tokens) % TOKENS_A_LOOK == 0:
            look()
        if tokens:
            decoding.append(tokens[-1])
        state = decoding.state  # [B, k, d]
        token, logprob = draw_tokens(logits(model, state, fmt.temperature), points)
        tokens.append(token)
        logprobs.append(logprob)
        value = torch.zeros_like(logprobs[-1]) if value_head is None else value_head(state.float()).squeeze(-1)
        values.append(value)
    return Samples(*(torch.stack(column, -1) for column in (tokens, logprobs, values)))


def sample_in_pieces(
    model: PreTrainedModel,
    queries: Tensor,
    noise: Tensor,
    fmt: TextFormat,
    value_head: nn.Module | None = None,
    look: Look = unwatched,
) -> Samples:
    """Sample like `sample`, as many queries at a time as fit into the free memory."""
    (batch, width), (_, k, length) = queries.shape, noise.shape
    alone = 1 if layout_of(body_of(model)).rows is Rows.SHARED else k  # rows of a query
    row = alone * shape_of(model).sampling(width, k // alone, length)
    piece = fitting(queries.device, row, batch)
    parts = in_pieces(lambda rows: sample(model, queries[rows], noise[rows], fmt, value_head, look), batch, piece)
    return Samples(*(torch.cat(column) for column in zip(*parts, strict=True)))


def draw_tokens(scores: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Draw a token from each softmax of logits [..., V], which are overwritten, and return it with its log-prob [...].

    The cumulative sum is inverted at a point [...] of [0, 1). torch.multinomial draws a random number for each entry of
    the vocabulary, which took 40 % of the sampling time of the embedded base.
    """
    scores -= scores.amax(-1, keepdim=True)
    powers = scores.exp()
    cumulative = powers.cumsum(-1)
    total = cumulative[..., -1:]
    # The product can round to the total, above every cumulative sum. Below it, only ids that can occur are drawn.
    at = torch.minimum(points[..., None] * total, total.nextafter(torch.zeros_like(total)))
    token = torch.searchsorted(cumulative, at, right=True).clamp(max=scores.shape[-1] - 1)
    logprob = scores.gather(-1, token).squeeze(-1) - powers.sum(-1).log()
    return token.squeeze(-1), logprob


def sample_valid(
    model: PreTrainedModel,
    contexts: Sequence[list[int]],
    k: int,
    prompts: Prompts,
    draw: torch.Generator,
    *,
    title: str,
) -> list[list[list[int]]]:
    """Sample until every context has k distinct valid responses, truncated, as people see them (paper, section 2.2).

    Returns a list of token lists for each query; it has fewer than k if MOST_TRIES passes are not enough. A pass over
    few rows takes about as long as one over many, so if few queries are left, each is tried several times in one pass.
    """
    distinct: list[dict[tuple[int, ...], None]] = [{} for _ in contexts]
    device = next(model.parameters()).device
    chunk = AT_ONCE[device.type]
    tries = 0
    with tqdm(total=len(contexts), desc=title, unit="query", disable=None, leave=False) as bar:
        waiting = list(range(len(contexts)))
        while waiting and tries < MOST_TRIES:
            together = min(MOST_TRIES - tries, max(1, chunk // len(waiting)))
            tries += together
            for part in in_chunks(waiting, chunk):
                padded = pad_left([contexts[i] for i in part]).to(device)
                noise = draw_noise(len(part), together * max(k, 4), prompts.fmt, draw)
                drawn = sample_in_pieces(model, padded, noise, prompts.fmt)
                cut, valid = prompts.truncate(drawn.tokens)
                for i, rows, goods in zip(part, cut.tolist(), valid.tolist(), strict=True):
                    kept = [tuple(t for t in row if t != PAD) for row, good in zip(rows, goods, strict=True) if good]
                    distinct[i].update(dict.fromkeys(kept))
                    bar.update(len(distinct[i]) >= k)
            waiting = [i for i in waiting if len(distinct[i]) < k]
    return [[list(tokens) for tokens in list(responses)[:k]] for responses in distinct]
