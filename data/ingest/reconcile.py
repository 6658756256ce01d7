"""Reconciling answers: each one counts, is a duplicate of another one, or contradicts another one."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.batches.key import Key
from data.escape import shown
from data.labels.table import active, answer_keys, details_of, label_id

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Outcome(NamedTuple):
    """What became of the rows."""

    accepted: Ints  # rows that count
    duplicates: int
    problems: pa.Array  # why a row is quarantined; null for others


class CodedAnswers(NamedTuple):
    """Answers as numbers: `who` is a labeler and a question, `answer` what was answered."""

    who: Ints
    answer: Ints
    kinds: int

    @property
    def both(self) -> Ints:
        return self.who * self.kinds + self.answer


def reconcile(good: pa.Table, key: Key, known: pa.Table, batch: str, most_answers: int | None) -> Outcome:
    """Compare rows (MATCHED, in the order of the file) with each other and with the labels of the batch so far (LABEL).

    An answer that was given before adds nothing, in whichever file. Different answers of one labeler to one question
    are all out, unless the later one names the standing label that it supersedes.
    """
    mine, theirs = _coded(good, known, key)
    problems = np.full(len(good), None, object)
    corrects = good["supersedes"].is_valid().to_numpy()
    duplicate: Mask = np.isin(mine.both, theirs.both) & ~corrects
    place, stands = _active_labels(mine, theirs, known)
    _correct(good, known, batch, (corrects, place, stands), problems, duplicate)
    conflicting = stands & ~corrects & ~duplicate
    _set_reason(problems, conflicting, "conflicts with an earlier answer of ", good)
    has_problem = np.array([problem is not None for problem in problems], bool)
    left = np.flatnonzero(~duplicate & ~has_problem)
    accepted, repeated = _first_of_each(mine, left, good, problems)
    if most_answers is not None:
        accepted = _within_quota(good, key, known, accepted, corrects, most_answers, problems)
    return Outcome(accepted, int(duplicate.sum()) + repeated, pa.array(problems, pa.string()))


def _coded(good: pa.Table, known: pa.Table, key: Key) -> tuple[CodedAnswers, CodedAnswers]:
    names = pa.chunked_array([good["labeler_id"].combine_chunks(), known["labeler_id"].combine_chunks()], pa.string())
    labelers = names.combine_chunks().dictionary_encode()
    count = max(1, len(labelers.dictionary))
    asked = key.find(known["question_id"].combine_chunks()).to_numpy(zero_copy_only=False)
    question = np.concatenate([good["question"].to_numpy(), asked]).astype(np.int64)
    who = question * count + labelers.indices.to_numpy()
    texts = pa.chunked_array([good["answer_key"].combine_chunks(), answer_keys(known)], pa.string())
    more = texts.combine_chunks().dictionary_encode()
    best = np.concatenate([t["best_sample"].combine_chunks().fill_null(0).to_numpy() for t in (good, known)])
    answer = more.indices.fill_null(-1).to_numpy().astype(np.int64)
    answer = np.where(answer < 0, best, answer + key.k)
    kinds = key.k + len(more.dictionary)
    n = len(good)
    return CodedAnswers(who[:n], answer[:n], kinds), CodedAnswers(who[n:], answer[n:], kinds)


def _active_labels(mine: CodedAnswers, theirs: CodedAnswers, known: pa.Table) -> tuple[Ints, Mask]:
    """Return for each row the standing label of its labeler on its question, and whether there is one."""
    rows = active(known)
    if not len(rows):
        return np.zeros(len(mine.who), np.int64), np.zeros(len(mine.who), bool)
    rows = rows[np.argsort(theirs.who[rows], kind="stable")]
    found = np.minimum(np.searchsorted(theirs.who[rows], mine.who), len(rows) - 1)
    return rows[found], theirs.who[rows[found]] == mine.who


def _correct(
    good: pa.Table,
    known: pa.Table,
    batch: str,
    earlier: tuple[Mask, Ints, Mask],
    problems: NDArray[np.object_],
    duplicate: Mask,
) -> None:
    """Judge the rows that supersede a label: it must be the one that stands."""
    corrects, place, stands = earlier
    rows = np.flatnonzero(corrects)
    if not len(rows):
        return
    ids = set(known["label_id"].to_pylist())
    names = ["question_id", "labeler_id", "best_sample", "supersedes"]
    standing_ids = known["label_id"].take(place[rows]).to_pylist() if len(known) else [None] * len(rows)
    corrections = zip(rows.tolist(), good.select(names).take(rows).to_pylist(), details_of(good, rows), strict=True)
    for (row, given, details), stood in zip(corrections, standing_ids, strict=True):
        question, labeler, best, supersedes = given.values()
        if label_id(batch, question, labeler, best, details, supersedes) in ids:
            duplicate[row] = True  # the same correction again
        elif not stands[row] or given["supersedes"] != stood:
            named = shown(given["supersedes"])
            problems[row] = f"supersedes {named}, which is no standing answer of {given['labeler_id']} here"


def _first_of_each(mine: CodedAnswers, left: Ints, good: pa.Table, problems: NDArray[np.object_]) -> tuple[Ints, int]:
    """Return the first of equal answers, and how many repeat it; different ones of one labeler are all out."""
    order = left[np.argsort(mine.who[left], kind="stable")]
    who, answer = mine.who[order], mine.answer[order]
    begins = np.concatenate([[True], who[1:] != who[:-1]]) if len(order) else np.zeros(0, bool)
    group = np.cumsum(begins) - 1
    first = order[begins]
    differs = answer != mine.answer[first][group]
    contradicted = np.bincount(group, differs, len(first)).astype(bool)
    out = contradicted[group]
    numbers = good["row"].to_numpy()
    for row, origin in zip(order[out].tolist(), first[group[out]].tolist(), strict=True):
        same = row == origin
        problems[row] = (
            "contradicted by a later row" if same else f"contradicts row {numbers[origin]} of the same labeler"
        )
    return np.sort(first[~contradicted]), int((~begins & ~out).sum())


def _within_quota(
    good: pa.Table,
    key: Key,
    known: pa.Table,
    accepted: Ints,
    corrects: Mask,
    most: int,
    problems: NDArray[np.object_],
) -> Ints:
    """Leave out the answers to a question beyond so many, in the order in which they came."""
    new = accepted[~corrects[accepted]]
    question = good["question"].to_numpy()[new]
    asked = key.find(known["question_id"].combine_chunks()).to_numpy(zero_copy_only=False).astype(np.int64)
    before = np.bincount(asked[active(known)], minlength=len(key))
    order = np.argsort(question, kind="stable")
    ordered = question[order]
    starts = np.searchsorted(ordered, ordered)
    rank = np.empty(len(new), np.int64)
    rank[order] = np.arange(len(new)) - starts
    over = new[rank + before[question] >= most]
    for row in over.tolist():
        problems[row] = f"is beyond the {most} answers that the campaign wants of a question"
    return accepted[~np.isin(accepted, over)]


def _set_reason(problems: NDArray[np.object_], mask: Mask, reason: str, good: pa.Table) -> None:
    rows = np.flatnonzero(mask)
    for row, name in zip(rows.tolist(), good["labeler_id"].take(pa.array(rows)).to_pylist(), strict=True):
        if problems[row] is None:
            problems[row] = reason + name
