"""Questions for labelers: each a query and k valid responses of the policies of the round."""

import random
from collections.abc import Collection, Iterator, Mapping, Sequence

import torch

from data.batches.schema import Question, Sample
from data.campaign import Campaign
from data.campaign.queries import Query
from data.errors import Refused
from models.lm.base import Base
from models.lm.prompts import Prompts
from models.lm.sampling import sample_valid
from models.training.loop import in_chunks

BASE, CHAMPION = "base", "champion"
MOST_AT_ONCE = 4_096  # largest number of queries whose responses are in memory


def draw_questions(
    policies: Mapping[str, Base],
    queries: Sequence[Query],
    campaign: Campaign,
    count: int,
    seed: int,
    used: Collection[str],
) -> Iterator[Question]:
    """Yield `count` questions, first on queries that earlier batches did not use.

    Without a champion, the base writes all samples. With a champion, it writes all samples of most questions (paper,
    section 2.2). In the others, the probes, base and champion write half of the samples each. Probes measure the win
    rate and also train the reward model. Raises Refused if too few queries get enough valid samples.
    """
    k = campaign.batch.samples
    prompts = policies[BASE].prompts(campaign.text)
    shuffled = random.Random(seed)
    fresh = [query for query in queries if query.query_id not in used]
    again = [query for query in queries if query.query_id in used]
    shuffled.shuffle(fresh)
    shuffled.shuffle(again)
    draw = torch.Generator().manual_seed(seed)
    drawn = 0
    for part in in_chunks(fresh + again, min(MOST_AT_ONCE, max(64, -(-count // 4)))):
        missing = count - drawn
        if missing <= 0:
            break
        encoded = [(query, ids) for query in part if (ids := prompts.encode(query.text))]
        encoded = encoded[: missing + missing // 8 + 1]  # a few will not yield enough valid responses
        for writers, share in _mixes(policies, k, campaign.batch.probe_share):
            size = round(len(encoded) * share)
            questions = _sample(policies, encoded[:size], writers, prompts, draw)[: count - drawn]
            yield from questions
            drawn += len(questions)
            encoded = encoded[size:]
    if drawn < count:
        raise Refused(
            f"Only {drawn} of {count} questions could be drawn from {len(queries)} queries, because the base ends too "
            f"few sentences by the rules of campaign {campaign.name}. Ask fewer questions, or give more queries."
        )


def _mixes(policies: Mapping[str, Base], k: int, probe_share: float) -> list[tuple[dict[str, int], float]]:
    """Return the numbers of samples by writer, each with its share of the questions that remain."""
    if CHAMPION not in policies:
        return [({BASE: k}, 1.0)]
    return [({BASE: k // 2, CHAMPION: k - k // 2}, probe_share), ({CHAMPION: k}, 1.0)]


def _sample(
    policies: Mapping[str, Base],
    encoded: Sequence[tuple[Query, list[int]]],
    writers: Mapping[str, int],
    prompts: Prompts,
    draw: torch.Generator,
) -> list[Question]:
    """Sample questions on some queries; queries with too few valid samples or with equal texts are left out."""
    samples: list[list[Sample]] = [[] for _ in encoded]
    contexts = [prompts.surround(tokens) for _, tokens in encoded]
    for writer, k in writers.items():
        policy = policies[writer]
        sampled = sample_valid(policy.model, contexts, k, prompts, draw, title=f"sampling from {writer}")
        decode = policy.prompts(prompts.fmt).decode
        for row, responses in zip(samples, sampled, strict=True):
            row += [Sample(decode(tokens), tokens, policy.fingerprint) for tokens in responses]
    complete = [len({sample.text for sample in row}) == sum(writers.values()) for row in samples]
    return [
        Question(query.query_id, prompts.decode(tokens), tokens, tuple(row))
        for (query, tokens), row, good in zip(encoded, samples, complete, strict=True)
        if good
    ]
