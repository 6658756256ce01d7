"""Human evaluation: blind two-way questions of any two systems, and what people's answers to them come to."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from data.answers.answer import won
from data.batches.index import Batch, batches, key_rows
from data.campaign.settings import TextFormat
from data.canonical import sha256
from data.evaluation.judgements import Judgement, PairResult, pair_results, result_for
from data.evaluation.systems import System
from data.labels.decisions import BatchStatus, batch_statuses
from data.labels.delivery import DeliveryEntry
from data.labels.table import Committed, active_labels, committed, deliveries
from data.measures.intervals import Estimate
from data.measures.words import words
from data.paths import comparisons_of
from data.store import Store


class HumanResult(NamedTuple):
    """One comparison: what was asked, and what came of it."""

    batch: str
    systems: tuple[str, str]
    questions: int
    equal: int  # queries that both answered with the same words, so nobody was asked: each is a tie
    answers: int  # that count
    labelers: int
    decision: str  # about its answers: accept, hold or reject; "waits" where there are none
    why: str
    contest: PairResult | None  # None before answers count


class HumanWinRate(NamedTuple):
    """How often people prefer one system to another, and how many people tell how much people differ."""

    win_rate: Estimate
    labelers: int


def identity(system: System) -> str:
    """Name a system for good: which run's model it is, whatever it was called when it was asked about."""
    if system.run is None:
        return system.name
    kind = {"best of": f"{system.name} of ", "model": ""}[system.kind]
    return f"{kind}{system.run}" + ("/supervised" if system.model and system.model.endswith("/supervised") else "")


def human_evaluations(store: Store, campaign: str) -> list[Batch]:
    """Return the published comparisons of a campaign, oldest first."""
    return batches(store, comparisons_of(campaign))


def human_results(store: Store, campaign: str) -> list[HumanResult]:
    """Return every comparison with what people answered."""
    found = []
    for batch, status, judgements in _answered(store, comparisons_of(campaign)):
        left, right = batch["systems"]
        found.append(
            HumanResult(
                batch["batch"],
                (left, right),
                batch["questions"],
                _equal(batch),
                len(judgements),
                len({each.labeler for each in judgements}),
                status.decision if status else "waits",
                status.why if status else "",
                result_for(pair_results([*judgements, *_ties(batch, judgements)]), left, right),
            )
        )
    return found


def preferred_by_people(
    store: Store, campaign: str, system: str, other: str, rules: TextFormat | None = None
) -> HumanWinRate | None:
    """Return how often people prefer one system to another, by all accepted answers; None without any.

    With `rules`, by answers about texts that were made by them.
    """
    wanted = {system, other}
    asked = _answered(store, comparisons_of(campaign), wanted)
    judgements: list[Judgement] = []
    for batch, _, answers in asked:
        if rules is None or _made_by(batch, rules):
            judgements += [*answers, *_ties(batch, answers)]
    turned = [each if each.left == system else _turned(each) for each in judgements]
    contest = result_for(pair_results(turned), system, other)
    given = Counter(each.labeler for each in turned)
    telling = [count for count in given.values() if 3 * count * len(given) >= len(turned)]  # a third of an even share
    return contest and HumanWinRate(contest.win_rate, len(telling))


def undecided(store: Store, campaign: str, system: str, other: str, rules: TextFormat) -> list[tuple[str, str]]:
    """Return each comparison of two systems, by these rules, whose answers neither count nor were rejected by a person,
    and why."""
    return [
        (batch["batch"], status.why)
        for batch, status, answers in _answered(store, comparisons_of(campaign), {system, other})
        if status is not None and not answers and _made_by(batch, rules)
        if not (status.by_person and status.decision == "reject")
    ]


def _answered(
    store: Store, name: str, systems: set[str] | None = None
) -> Iterator[tuple[Batch, BatchStatus | None, list[Judgement]]]:
    """Yield the comparisons, of two systems or all, what stands and the answers that count; logs are read once."""
    decided, taken = batch_statuses(store, name), deliveries(store, name)
    for batch in batches(store, name):
        if systems in (None, set(batch["systems"])):
            status = decided.get(batch["batch"])
            yield batch, status, _answers(store, batch, status, taken)


def _made_by(batch: Batch, rules: TextFormat) -> bool:
    made = batch.facts.get("campaign")
    return made is None or not rules.differing(TextFormat.model_validate(made["text"]))


def _equal(batch: Batch) -> int:
    return batch.facts.get("equal", 0)


def _ties(batch: Batch, answers: Sequence[Judgement]) -> Iterator[Judgement]:
    """Yield a tie for every query that both answered with the same words, as of whoever answered another query: so many
    as would have been answered too.

    The others stand in evenly by how often they were answered, in whatever order the answers came.
    """
    of_query: dict[str, list[Judgement]] = {}
    for each in answers:
        of_query.setdefault(each.query, []).append(each)
    if not of_query or not _equal(batch):
        return
    drawn = {query: sha256(f"{batch['batch']} {query}".encode()) for query in of_query}
    others = [of_query[query] for query in sorted(of_query, key=lambda query: (len(of_query[query]), drawn[query]))]
    count = round(_equal(batch) * len(others) / len({row["query_id"] for row in key_rows(batch)}))
    for number in range(count):
        for each in others[(2 * number + 1) * len(others) // (2 * count)]:
            query = f"{batch['batch']}, equal {number}"
            yield each._replace(query=query, won=0.5, right_words=each.left_words)


def _answers(store: Store, batch: Batch, status: BatchStatus | None, taken: Sequence[DeliveryEntry]) -> list[Judgement]:
    """Return the answers to a comparison that count: of an accepted batch, by labelers who are not held."""
    if status is None or status.decision != "accept":
        return []
    rows = {row["question_id"]: row for row in key_rows(batch)}
    labels = active_labels(committed(store, list(taken), batch["batch"]))
    left, right = batch["systems"]
    found = []
    for label in labels:
        if status.weights.get(label.labeler_id, 1.0) > 0:
            row = rows[label.question_id]
            lengths = [len(words(sample["text"])) for sample in row["samples"]]
            found.append(Judgement(row["query_id"], left, right, label.labeler_id, _won(label), *lengths))
    return found


def _won(label: Committed) -> float:
    """Return what an answer gives to the first of its two samples."""
    return won(label.best_sample, label.details)


def _turned(each: Judgement) -> Judgement:
    return Judgement(each.query, each.right, each.left, each.labeler, 1 - each.won, each.right_words, each.left_words)
