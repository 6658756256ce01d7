"""Who is preferred to whom: every pair of systems on every query, judged blind, and what that comes to."""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import pyarrow as pa

from data.campaign.settings import Labelers
from data.evaluation.facts import StoredPair
from data.measures.elo import Rating, elo_ratings
from data.measures.intervals import Estimate
from data.measures.win_rate import length_controlled, win_rate
from data.measures.words import words
from data.simulation.labelers import choose

JUDGEMENTS = pa.schema(
    [
        ("query", pa.string()),
        ("left", pa.string()),
        ("right", pa.string()),
        ("labeler", pa.string()),
        ("won", pa.float64()),
        ("left_words", pa.int32()),
        ("right_words", pa.int32()),
    ]
)


class Judgement(NamedTuple):
    """One answer to the question which of two responses is better."""

    query: str
    left: str
    right: str
    labeler: str
    won: float  # by the left one; 0.5 is a tie
    left_words: int
    right_words: int


class PairResult(NamedTuple):
    """How often one system is preferred to another."""

    left: str
    right: str
    win_rate: Estimate
    equal_length: Estimate  # as it would be if both wrote equally much

    def document(self) -> StoredPair:
        """Return the result as manifests have it."""
        rate, at_equal_length = self.win_rate.document(), self.equal_length.document()
        return {"left": self.left, "right": self.right, "win_rate": rate, "equal_length": at_equal_length}

    @staticmethod
    def of(stored: StoredPair) -> "PairResult":
        """Return a result that a manifest has."""
        rate, at_equal_length = Estimate(**stored["win_rate"]), Estimate(**stored["equal_length"])
        return PairResult(stored["left"], stored["right"], rate, at_equal_length)


def judge_pairs(
    judges: Labelers, queries: Mapping[str, str], responses: Mapping[str, Sequence[str]]
) -> Iterator[Judgement]:
    """Show every pair of systems on every query, by its id, to a judge, in random order; equal texts tie unseen."""
    lengths = {name: [len(words(text)) for text in texts] for name, texts in responses.items()}
    for left, right in combinations(responses, 2):
        for number, (query, source) in enumerate(queries.items()):
            pair = responses[left][number], responses[right][number]
            occasion = f"{query} {left} {right}"
            first = random.Random(f"{judges.seed} order {occasion}").randrange(2)
            choice = choose(judges, occasion, source, pair if first == 0 else pair[::-1])
            won = 0.5 if pair[0] == pair[1] else float(choice.best == first)
            yield Judgement(query, left, right, choice.labeler_id, won, lengths[left][number], lengths[right][number])


def pair_results(judgements: Iterable[Judgement]) -> list[PairResult]:
    """Return what the answers to each pair of systems come to, in the order in which they were given."""
    by_pair: dict[tuple[str, str], list[Judgement]] = defaultdict(list)
    for each in judgements:
        by_pair[each.left, each.right].append(each)
    found = []
    for (left, right), mine in by_pair.items():
        won, queries, labelers = ([getattr(e, name) for e in mine] for name in ("won", "query", "labeler"))
        lengths = [e.left_words for e in mine], [e.right_words for e in mine]
        equal_length = length_controlled(won, *lengths, queries, labelers)
        found.append(PairResult(left, right, win_rate(won, queries, labelers), equal_length))
    return found


def result_for(found: Iterable[PairResult], system: str, other: str) -> PairResult | None:
    """Return the contest of two systems as seen by the first one; None where nobody judged it."""
    for each in found:
        if (each.left, each.right) == (system, other):
            return each
        if (each.left, each.right) == (other, system):
            return PairResult(system, other, _turned(each.win_rate), _turned(each.equal_length))
    return None


def _turned(rate: Estimate) -> Estimate:
    return Estimate(1 - rate.value, 1 - rate.high, 1 - rate.low, rate.n)


def ratings(judgements: Sequence[Judgement], systems: Sequence[str], anchor: str) -> dict[str, Rating]:
    """Return the Elo of every system, the anchor at 0, with 95 % intervals that know queries and labelers."""
    names = ("left", "right", "won", "query", "labeler")
    left, right, won, queries, labelers = ([getattr(each, name) for each in judgements] for name in names)
    return elo_ratings(systems, left, right, won, queries, labelers, anchor)
