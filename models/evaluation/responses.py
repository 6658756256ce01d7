"""Responses of systems to test queries, and the divergence of a policy from the base."""

import hashlib
import random
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

from data.campaign.queries import load_queries
from data.errors import Refused
from data.evaluation.facts import StoredBehaviour
from data.evaluation.systems import LEAD, System
from data.measures.words import lead
from models.lm.base import Base
from models.lm.logprobs import response_logprobs
from models.lm.memory import fitting, shape_of
from models.lm.prompts import Prompts
from models.lm.sampling import draw_noise, sample_in_pieces, sample_valid
from models.reward.ensemble import Ensemble
from models.reward.preferences import Comparison
from models.training.loop import progress

AT_ONCE = 64  # queries whose responses are sampled and measured together


class EncodedQuery(NamedTuple):
    """A test query, encoded for a base."""

    query_id: str
    text: str
    tokens: list[int]
    reference: str | None


class Response(NamedTuple):
    """One response, as text for people and as tokens for the reward model."""

    text: str
    tokens: list[int]


class Behaviour(NamedTuple):
    """Divergence of a policy from the base, measured on unfiltered responses."""

    kl: float  # nats a sequence
    kl_standard_error: float
    valid: float

    def document(self) -> StoredBehaviour:
        """Return the behaviour as an evaluation stores it."""
        return {"kl": self.kl, "kl_standard_error": self.kl_standard_error, "valid": self.valid}


def draw_queries(prompts: Prompts, count: int, referenced: bool = False) -> list[EncodedQuery]:
    """Draw test queries, the same ones for every evaluation.

    A quarter more than `count` are drawn, because some get no valid response. With `referenced`, all of them have a
    reference response.
    """
    encoded = [(query, prompts.encode(query.text)) for query in load_queries(prompts.fmt, "test")]
    usable = [(q, ids) for q, ids in encoded if ids and (q.response or not referenced)]
    queries = [EncodedQuery(q.query_id, prompts.decode(ids), ids, q.response) for q, ids in usable]
    return random.Random(0).sample(queries, min(len(queries), count * 5 // 4))


def respond(
    system: System,
    model: PreTrainedModel,
    prompts: Prompts,
    score: Ensemble | None,
    queries: Sequence[EncodedQuery],
    seed: int,
) -> list[Response | None]:
    """Return a system's valid, truncated response to each query; None for a query without one.

    `model` is the language model of systems that sample from one.
    """
    if system.kind in ("reference", "lead"):
        texts = [query.reference if system.kind == "reference" else lead(query.text, LEAD) for query in queries]
        if not any(texts):
            raise Refused(
                f"{system.name}: none of the test queries in {prompts.fmt.queries} has a reference response. Add "
                "responses, or leave this system out."
            )
        return [Response(text, prompts.encode_response(text)) if text else None for text in texts]
    contexts = [prompts.surround(query.tokens) for query in queries]
    own_seed = int.from_bytes(
        hashlib.sha256(f"{seed} {system.name}".encode()).digest()[:7]
    )  # different for each system
    draw = torch.Generator().manual_seed(own_seed)
    sampled = sample_valid(model, contexts, system.n, prompts, draw, title=f"evaluating {system.name}")
    chosen: list[Response | None] = []
    for query, responses in zip(queries, sampled, strict=True):
        tokens = responses[0] if len(responses) == 1 else None
        if len(responses) > 1:
            assert score is not None
            tokens = _best(score, query.tokens, responses)
        chosen.append(Response(prompts.decode(tokens), tokens) if tokens else None)
    return chosen


def _best(score: Ensemble, query: list[int], responses: list[list[int]]) -> list[int]:
    scores = score.scores([Comparison(query, responses)]).mean(0)[0]
    return responses[int(scores.argmax())]


def scores_of(
    score: Ensemble, queries: Sequence[EncodedQuery], answers: Sequence[Sequence[Response]]
) -> list[list[float]]:
    """Return the scores [systems][queries] of each system's response to each query."""
    rows = [
        Comparison(query.tokens, [response.tokens for response in responses])
        for query, responses in zip(queries, zip(*answers, strict=True), strict=True)
    ]
    scores: list[list[float]] = score.scores(rows).mean(0).T.tolist()
    return scores


@torch.no_grad()
def behaviour(
    policy: PreTrainedModel, base: Base, queries: Sequence[list[int]], prompts: Prompts, seed: int
) -> Behaviour:
    """Sample one response to each query and compare its log-probabilities under policy and base."""
    device = next(base.model.parameters()).device
    draw = torch.Generator().manual_seed(seed)
    kls: list[Tensor] = []
    valid: list[Tensor] = []
    for start in progress(range(0, len(queries), AT_ONCE), "evaluating KL", "batch"):
        padded = prompts.contexts(queries[start : start + AT_ONCE]).to(device)
        samples = sample_in_pieces(policy, padded, draw_noise(len(padded), 1, prompts.fmt, draw), prompts.fmt)
        row = shape_of(base.model).scoring(padded.shape[1] + prompts.fmt.response_tokens)
        part = fitting(device, row, AT_ONCE)
        reference = response_logprobs(base.model, padded, samples.tokens, prompts.fmt.temperature, part)
        kls.append((samples.logprobs - reference).sum(-1).flatten())
        valid.append(prompts.truncate(samples.tokens)[1].float().flatten())
    kl = torch.cat(kls)
    error = float(kl.std() / len(kl) ** 0.5) if len(kl) > 1 else 0.0
    return Behaviour(float(kl.mean()), error, float(torch.cat(valid).mean()))
