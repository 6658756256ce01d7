"""Who is preferred to whom: every pair of systems on every query, judged blind, and what that comes to."""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.canonical import Document
from data.measures.ranking import elo
from data.measures.text import words
from data.measures.winning import length_controlled, win_rate
from data.settings import Labelers
from data.simulated import choose
from data.statistics import Proportion

DRAWS = 200
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


class Contest(NamedTuple):
    """How often one system is preferred to another."""

    left: str
    right: str
    win_rate: Proportion
    equal_length: Proportion  # as it would be if both wrote equally much

    def document(self) -> Document:
        """Return it as manifests hold it."""
        rates = {"win_rate": self.win_rate._asdict(), "equal_length": self.equal_length._asdict()}
        return {"left": self.left, "right": self.right, **rates}

    @staticmethod
    def of(document: Document) -> "Contest":
        rates = (Proportion(**document[name]) for name in ("win_rate", "equal_length"))
        return Contest(document["left"], document["right"], *rates)


class Rating(NamedTuple):
    """A system on the scale of all, with the interval that other queries could have given."""

    elo: float
    low: float
    high: float


def judged(judges: Labelers, queries: Mapping[str, str], responses: Mapping[str, Sequence[str]]) -> Iterator[Judgement]:
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


def contests(judgements: Iterable[Judgement]) -> list[Contest]:
    """Return what the answers to each pair of systems come to, in the order in which they were given."""
    by_pair: dict[tuple[str, str], list[Judgement]] = defaultdict(list)
    for each in judgements:
        by_pair[each.left, each.right].append(each)
    found = []
    for (left, right), mine in by_pair.items():
        won, queries, labelers = ([getattr(e, name) for e in mine] for name in ("won", "query", "labeler"))
        lengths = [e.left_words for e in mine], [e.right_words for e in mine]
        equal_length = length_controlled(won, *lengths, queries, labelers)
        found.append(Contest(left, right, win_rate(won, queries, labelers), equal_length))
    return found


def over(found: Iterable[Contest], system: str, other: str) -> Contest | None:
    """Return the contest of two systems as seen by the first one; None where nobody judged it."""
    for each in found:
        if (each.left, each.right) == (system, other):
            return each
        if (each.left, each.right) == (other, system):
            return Contest(system, other, _turned(each.win_rate), _turned(each.equal_length))
    return None


def _turned(rate: Proportion) -> Proportion:
    return Proportion(1 - rate.value, 1 - rate.high, 1 - rate.low, rate.n)


def ratings(judgements: Sequence[Judgement], systems: Sequence[str], anchor: str) -> dict[str, Rating]:
    """Return the Elo of every system, the anchor at 0, with 95 % intervals: by query or by labeler, the wider one.

    They are of a Bayesian bootstrap (Rubin, 1981) that weighs whole queries, or whole labelers, and the half wins added
    to every pair too: so a system that always wins is not certain to.
    """
    draw = np.random.default_rng(0)
    by_query = _wins([each.query for each in judgements], judgements, systems)
    by_labeler = _wins([each.labeler for each in judgements], judgements, systems)
    drawn = [[_again(wins, systems, anchor, draw) for _ in range(DRAWS)] for wins in (by_query, by_labeler)]
    found = {}
    for system, rating in elo(systems, by_query.sum(0), anchor).items():
        ends = [np.quantile([each[system] for each in draws], [0.025, 0.975]) for draws in drawn]
        low, high = max(ends, key=lambda each: float(each[1] - each[0]))
        found[system] = Rating(rating, float(low), float(high))
    return found


def _wins(clusters: Sequence[str], judgements: Sequence[Judgement], systems: Sequence[str]) -> NDArray[np.float64]:
    """Return the wins [cluster, S, S] of row over column."""
    known = {cluster: number for number, cluster in enumerate(dict.fromkeys(clusters))}
    place = {system: number for number, system in enumerate(systems)}
    wins = np.zeros((len(known), len(systems), len(systems)))
    for cluster, each in zip(clusters, judgements, strict=True):
        left, right = place[each.left], place[each.right]
        wins[known[cluster], left, right] += each.won
        wins[known[cluster], right, left] += 1 - each.won
    return wins


def _again(
    wins: NDArray[np.float64], systems: Sequence[str], anchor: str, draw: np.random.Generator
) -> dict[str, float]:
    weights = draw.exponential(size=len(wins)) if len(wins) > 1 else np.ones(1)
    added = draw.gamma(0.5, size=wins.shape[1:]) + 1e-6
    return elo(systems, np.tensordot(weights, wins, 1), anchor, added)
