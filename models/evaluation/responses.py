"""What systems answer to queries that nobody trained on, and how far a policy went from the base."""

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
from models.lm.prompts import Prompts
from models.lm.sampling import draw_noise, sample, sample_valid
from models.reward.ensemble import Ensemble
from models.reward.preferences import Comparison
from models.training.loop import progress

AT_ONCE = 64  # queries whose responses are sampled and measured together


class Asked(NamedTuple):
    """A test query as systems read it."""

    query_id: str
    text: str
    tokens: list[int]
    reference: str | None


class Response(NamedTuple):
    """One response, as people read it and as the reward model does."""

    text: str
    tokens: list[int]


class Behaviour(NamedTuple):
    """How far a policy went from the base, measured on unfiltered responses."""

    kl: float  # nats a sequence
    kl_standard_error: float
    valid: float

    def document(self) -> StoredBehaviour:
        """Return it as an evaluation stores it."""
        return {"kl": self.kl, "kl_standard_error": self.kl_standard_error, "valid": self.valid}


def draw_queries(prompts: Prompts, count: int, referenced: bool = False) -> list[Asked]:
    """Draw test queries, the same for every evaluation, and a quarter more: some get no valid response.

    `referenced`: of those with a reference response.
    """
    encoded = [(query, prompts.encode(query.text)) for query in load_queries(prompts.fmt, "test")]
    known = [(q, ids) for q, ids in encoded if ids and (q.response or not referenced)]
    asked = [Asked(q.query_id, prompts.decode(ids), ids, q.response) for q, ids in known]
    return random.Random(0).sample(asked, min(len(asked), count * 5 // 4))


def respond(
    system: System,
    model: PreTrainedModel,
    prompts: Prompts,
    score: Ensemble | None,
    asked: Sequence[Asked],
    seed: int,
) -> list[Response | None]:
    """Return a system's response to each query, valid and truncated as people see it; None where it gave none.

    `model` is the language model that the system samples from, where it does.
    """
    if system.kind in ("reference", "lead"):
        texts = [query.reference if system.kind == "reference" else lead(query.text, LEAD) for query in asked]
        if not any(texts):
            raise Refused(f"{system.name}: none of the test queries has a reference response in {prompts.fmt.queries}.")
        return [Response(text, prompts.encode_response(text)) if text else None for text in texts]
    contexts = [prompts.surround(query.tokens) for query in asked]
    drawn = int.from_bytes(hashlib.sha256(f"{seed} {system.name}".encode()).digest()[:7])  # no two share their numbers
    draw = torch.Generator().manual_seed(drawn)
    found = sample_valid(model, contexts, system.n, prompts, draw, title=f"evaluating {system.name}")
    chosen: list[Response | None] = []
    for query, responses in zip(asked, found, strict=True):
        tokens = responses[0] if len(responses) == 1 else None
        if len(responses) > 1:
            assert score is not None
            tokens = _best(score, query.tokens, responses)
        chosen.append(Response(prompts.decode(tokens), tokens) if tokens else None)
    return chosen


def _best(score: Ensemble, query: list[int], responses: list[list[int]]) -> list[int]:
    scores = score.scores([Comparison(query, responses)]).mean(0)[0]
    return responses[int(scores.argmax())]


def scores_of(score: Ensemble, asked: Sequence[Asked], answers: Sequence[Sequence[Response]]) -> list[list[float]]:
    """Return the scores [systems][queries] of what each system answered to each query."""
    rows = [
        Comparison(query.tokens, [response.tokens for response in responses])
        for query, responses in zip(asked, zip(*answers, strict=True), strict=True)
    ]
    found: list[list[float]] = score.scores(rows).mean(0).T.tolist()
    return found


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
        samples = sample(policy, padded, draw_noise(len(padded), 1, prompts.fmt, draw), prompts.fmt)
        reference = response_logprobs(base.model, padded, samples.tokens, prompts.fmt.temperature, AT_ONCE)
        kls.append((samples.logprobs - reference).sum(-1).flatten())
        valid.append(prompts.truncate(samples.tokens)[1].float().flatten())
    kl = torch.cat(kls)
    error = float(kl.std() / len(kl) ** 0.5) if len(kl) > 1 else 0.0
    return Behaviour(float(kl.mean()), error, float(torch.cat(valid).mean()))
