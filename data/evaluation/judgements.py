"""Blind judgements of pairs of systems, and the win rates and Elo ratings that follow from them."""

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
    """One answer to the question which of two responses to a query is better."""

    query: str
    left: str
    right: str
    labeler: str
    won: float  # 1: the left system won, 0: the right one, 0.5: a tie
    left_words: int
    right_words: int


class PairResult(NamedTuple):
    """Win rate of one system over another."""

    left: str
    right: str
    win_rate: Estimate
    equal_length: Estimate  # estimated win rate for responses of equal length

    def document(self) -> StoredPair:
        """Return the result as manifests store it."""
        rate, at_equal_length = self.win_rate.document(), self.equal_length.document()
        return {"left": self.left, "right": self.right, "win_rate": rate, "equal_length": at_equal_length}

    @staticmethod
    def of(stored: StoredPair) -> "PairResult":
        """Return a result from its stored form."""
        rate, at_equal_length = Estimate(**stored["win_rate"]), Estimate(**stored["equal_length"])
        return PairResult(stored["left"], stored["right"], rate, at_equal_length)


def judge_pairs(
    judges: Labelers, queries: Mapping[str, str], responses: Mapping[str, Sequence[str]]
) -> Iterator[Judgement]:
    """Yield one judgement for every pair of systems and every query.

    `queries` are texts by id, `responses` have one text a query. A judge sees the two responses in random order. Equal
    responses are a tie.
    """
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
    """Return the result of each pair of systems, in the order of their first judgements."""
    by_pair: dict[tuple[str, str], list[Judgement]] = defaultdict(list)
    for judgement in judgements:
        by_pair[judgement.left, judgement.right].append(judgement)
    results = []
    for (left, right), mine in by_pair.items():
        won = [judgement.won for judgement in mine]
        queries = [judgement.query for judgement in mine]
        labelers = [judgement.labeler for judgement in mine]
        lengths = [judgement.left_words for judgement in mine], [judgement.right_words for judgement in mine]
        equal_length = length_controlled(won, *lengths, queries, labelers)
        results.append(PairResult(left, right, win_rate(won, queries, labelers), equal_length))
    return results


def result_for(results: Iterable[PairResult], system: str, other: str) -> PairResult | None:
    """Return the result of `system` against `other`; None if they were not judged."""
    for result in results:
        if (result.left, result.right) == (system, other):
            return result
        if (result.left, result.right) == (other, system):
            return PairResult(system, other, _complement(result.win_rate), _complement(result.equal_length))
    return None


def _complement(rate: Estimate) -> Estimate:
    """Return the rate of the other system."""
    return Estimate(1 - rate.value, 1 - rate.high, 1 - rate.low, rate.n)


def ratings(judgements: Sequence[Judgement], systems: Sequence[str], anchor: str) -> dict[str, Rating]:
    """Return the Elo of every system, with the anchor at 0 and 95 % intervals clustered by query and labeler."""
    return elo_ratings(
        systems,
        left=[judgement.left for judgement in judgements],
        right=[judgement.right for judgement in judgements],
        won=[judgement.won for judgement in judgements],
        queries=[judgement.query for judgement in judgements],
        labelers=[judgement.labeler for judgement in judgements],
        anchor=anchor,
    )
