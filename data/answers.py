"""Answers: judge every row of what a vendor delivered.

A row is quarantined with its reason and raw values where only that row is wrong; the file is refused where more than a
few are. Nothing is guessed or repaired.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from data.batch import QUESTION_ID
from data.delivery import ANSWERS, COLUMNS, SAID, read_rows
from data.fields import BadRow, Ranking, index, is_skip, labeler, ranking, ratings, shown, to_samples
from data.fields import optional as read_optional
from data.refused import Refused

BAD_ROWS_ALLOWED = 0.05
FEWEST_TO_SEE_ONE_BASED = 50


@dataclass(frozen=True)
class Asked:
    """What the batch knows of one question."""

    content_sha256: str
    shown: tuple[int, ...]  # shown[position] = index of the sample


class Said(NamedTuple):
    """What a labeler answered, by sample: what makes two answers the same."""

    best: int | None = None
    ranking: Ranking | None = None
    ratings: str | None = None  # JSON, {axis: [a number a sample]}


@dataclass(frozen=True)
class Answer:
    """One accepted row. `best` is the position as shown, where one sample is said to be best."""

    question_id: str
    labeler_id: str
    best: int | None
    said: Said
    row: int
    optional: Mapping[str, Any]

    @property
    def best_sample(self) -> int | None:
        return self.said.best


class Known(NamedTuple):
    """An answer that counts already."""

    said: Said
    label_id: str


@dataclass
class Verdict:
    """What became of every row of a file: accepted + quarantined + duplicates + skipped = rows."""

    rows: int = 0
    accepted: list[Answer] = field(default_factory=list)
    quarantined: list[dict[str, Any]] = field(default_factory=list)  # row, reason, raw
    duplicates: int = 0
    skipped: int = 0  # questions that a labeler would not answer


def judge(path: Path, asked: Mapping[str, Asked], known: Mapping[tuple[str, str], Known]) -> Verdict:
    """Judge every row of an answer file against the questions of its batch.

    `known` holds the answers that count already, by question and labeler. Another answer to one of them is taken only
    where it names the label that it supersedes. Raise Refused where the file as
    a whole cannot be trusted, naming the first bad row.
    """
    verdict = Verdict()
    first: dict[tuple[str, str], Answer] = {}
    contradicted: set[tuple[str, str]] = set()
    for number, raw in read_rows(path):
        verdict.rows = number
        try:
            answer = _answer(number, raw, asked)
            if answer is None:
                verdict.skipped += 1
                continue
            key = (answer.question_id, answer.labeler_id)
            corrects = answer.optional.get("supersedes")
            if corrects is not None and (key not in known or known[key].label_id != corrects):
                raise BadRow(f"supersedes {shown(corrects)}, which is no standing answer of {answer.labeler_id} here")
            if key in known and known[key].said != answer.said and corrects is None:
                raise BadRow(f"conflicts with an earlier answer of {answer.labeler_id}")
            if key in first and first[key].said != answer.said:
                contradicted.add(key)
                raise BadRow(f"contradicts row {first[key].row} of the same labeler")
            if (key in known and known[key].said == answer.said) or key in first:
                verdict.duplicates += 1
                continue
            first[key] = answer
        except BadRow as reason:
            verdict.quarantined.append({"row": number, "reason": str(reason), "raw": raw})
    for key in contradicted:
        answer = first.pop(key)
        raw = {name: getattr(answer, name) for name in ("question_id", "labeler_id", "best")}
        verdict.quarantined.append({"row": answer.row, "reason": "contradicted by a later row", "raw": raw})
    verdict.accepted = list(first.values())
    _refuse_one_based(path, verdict, asked)
    if len(verdict.quarantined) > BAD_ROWS_ALLOWED * verdict.rows:
        worst = min(verdict.quarantined, key=lambda entry: entry["row"])
        raise Refused(
            f"{path.name}: {len(verdict.quarantined):,} of {verdict.rows:,} rows cannot be used, more than "
            f"{BAD_ROWS_ALLOWED:.0%}, so none was taken; the first is row {worst['row']}: {worst['reason']}."
        )
    return verdict


def _refuse_one_based(path: Path, verdict: Verdict, asked: Mapping[str, Asked]) -> None:
    """Refuse a file that counts its options from 1: nothing is ever 0, and some are one beyond the last."""
    chosen = Counter(answer.best for answer in verdict.accepted)
    k = max((len(question.shown) for question in asked.values()), default=0)
    beyond = sum(entry["reason"].startswith(f"best is {k};") for entry in verdict.quarantined)
    if len(verdict.accepted) + beyond >= FEWEST_TO_SEE_ONE_BASED and beyond and not chosen[0]:
        raise Refused(
            f"{path.name}: indices look one-based: best is {k} in {beyond:,} rows and 0 in none, while options count "
            f"from 0 to {k - 1}. Nothing was taken and nothing is shifted for you; have it delivered again."
        )


def _answer(number: int, raw: Mapping[str, Any], asked: Mapping[str, Asked]) -> Answer | None:
    """Read one row; None where the labeler would not answer."""
    given = {name: raw.get(name) for name in COLUMNS if raw.get(name) not in (None, "", [])}
    qid = given.get("question_id")
    if not isinstance(qid, str) or not QUESTION_ID.fullmatch(qid):
        raise BadRow(f"question_id is not one of ours: {shown(qid)}")
    if qid not in asked:
        raise BadRow(f"question {qid} is not in this batch")
    question = asked[qid]
    if given.get("content_sha256") != question.content_sha256:
        raise BadRow(f"content_sha256 differs from what was sent for {qid}: the labeler saw another text or order")
    who = labeler(given.get("labeler_id"))
    optional = {name: read_optional(name)(given[name]) for name in SAID if name in given}
    answers = [name for name in ANSWERS if name in given]
    if is_skip(given.get("skip")):
        if answers:
            raise BadRow(f"skips the question, and answers it by {answers[0]}")
        return None
    if not answers:
        raise BadRow("best is missing")
    best, said = _said(given, question.shown)
    return Answer(qid, who, best, said, number, optional)


def _said(given: Mapping[str, Any], order: tuple[int, ...]) -> tuple[int | None, Said]:
    """Return the position said to be best, where it is one, and the answer in terms of samples."""
    k = len(order)
    best = index(given["best"]) if "best" in given else None
    if best is not None and not 0 <= best < k:
        raise BadRow(f"best is {best}; the question has options 0 to {k - 1}")
    groups = ranking(given["ranking"]) if "ranking" in given else None
    if groups is not None:
        if max(max(group) for group in groups) >= k:
            raise BadRow(f"ranking names an option beyond {k - 1}: {shown(given['ranking'])}")
        if best is not None and best not in groups[0]:
            raise BadRow(f"best is {best}, which the ranking does not put first: {shown(given['ranking'])}")
        best = groups[0][0] if len(groups[0]) == 1 else None
    rated = ratings(given["ratings"]) if "ratings" in given else None
    if rated is not None and any(len(numbers) != k for numbers in rated.values()):
        raise BadRow(f"ratings are not of {k} options: {shown(given['ratings'])}")
    said = Said(
        None if best is None else order[best],
        None if groups is None else tuple(map(tuple, to_samples(groups, order))),
        None if rated is None else json.dumps({a: [n[order.index(s)] for s in range(k)] for a, n in rated.items()}),
    )
    return best, said
