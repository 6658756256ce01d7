"""Answers: judge every row of what a vendor delivered.

A row is quarantined with its reason and raw values where only that row is wrong; the file is refused where more than a
few are. Nothing is guessed or repaired.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from data.batch import QUESTION_ID
from data.delivery import OPTIONAL, read_rows
from data.refused import Refused

BAD_ROWS_ALLOWED = 0.05
FEWEST_TO_SEE_ONE_BASED = 50
LONGEST_NOTE = 20_000
LONGEST_LABELER_ID = 200


@dataclass(frozen=True)
class Asked:
    """What the batch knows of one question."""

    content_sha256: str
    shown: tuple[int, ...]  # shown[position] = index of the sample


@dataclass(frozen=True)
class Answer:
    """One accepted row. `best` is the position as shown; `best_sample` is the sample that was shown there."""

    question_id: str
    labeler_id: str
    best: int
    best_sample: int
    row: int
    optional: Mapping[str, Any]


class Known(NamedTuple):
    """An answer that counts already."""

    best: int  # as shown
    label_id: str


@dataclass
class Verdict:
    """What became of every row of a file: accepted + quarantined + duplicates + skipped = rows."""

    rows: int = 0
    accepted: list[Answer] = field(default_factory=list)
    quarantined: list[dict[str, Any]] = field(default_factory=list)  # row, reason, raw
    duplicates: int = 0
    skipped: int = 0  # questions that a labeler would not answer


class BadRow(Exception):
    """Why one row cannot be accepted."""


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
            if is_skip(raw.get("skip")):
                verdict.skipped += 1
                continue
            answer = _answer(number, raw, asked)
            key = (answer.question_id, answer.labeler_id)
            corrects = answer.optional.get("supersedes")
            if corrects is not None and (key not in known or known[key].label_id != corrects):
                raise BadRow(f"supersedes {_shown(corrects)}, which is no standing answer of {answer.labeler_id} here")
            if key in known and known[key].best != answer.best and corrects is None:
                raise BadRow(f"conflicts with the earlier answer {known[key].best} of {answer.labeler_id}")
            if key in first and first[key].best != answer.best:
                contradicted.add(key)
                raise BadRow(f"contradicts row {first[key].row} of the same labeler")
            if (key in known and known[key].best == answer.best) or key in first:
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


def is_skip(value: object) -> bool:
    """Say whether a labeler chose not to answer."""
    return value is True or str(value).strip().lower() in ("true", "1", "yes")


def _answer(number: int, raw: Mapping[str, Any], asked: Mapping[str, Asked]) -> Answer:
    qid = raw["question_id"]
    if not isinstance(qid, str) or not QUESTION_ID.fullmatch(qid):
        raise BadRow(f"question_id is not one of ours: {_shown(qid)}")
    if qid not in asked:
        raise BadRow(f"question {qid} is not in this batch")
    question = asked[qid]
    if raw["content_sha256"] != question.content_sha256:
        raise BadRow(f"content_sha256 differs from what was sent for {qid}: the labeler saw another text or order")
    labeler = raw["labeler_id"]
    if not isinstance(labeler, str) or not labeler.strip() or len(labeler) > LONGEST_LABELER_ID:
        raise BadRow("labeler_id is missing" if not labeler else "labeler_id is not a name")
    best = _index(raw["best"])
    if not 0 <= best < len(question.shown):
        raise BadRow(f"best is {best}; the question has options 0 to {len(question.shown) - 1}")
    given = [name for name in OPTIONAL if name != "skip" and raw.get(name) not in (None, "", [])]
    optional = {name: _optional(name, raw[name]) for name in given}
    return Answer(qid, labeler, best, question.shown[best], number, optional)


def _index(value: object) -> int:
    if value is None or value == "":
        raise BadRow("best is missing")
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}(\.0+)?", value):
        return int(float(value))
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value) and value.is_integer()):
        return int(value)
    raise BadRow(f"best is not an integer: {_shown(value)}")


def _optional(name: str, value: object) -> Any:
    if name in ("seconds", "confidence"):
        try:
            number = float(str(value))
        except ValueError as error:
            raise BadRow(f"{name} is not a number: {_shown(value)}") from error
        if not math.isfinite(number):
            raise BadRow(f"{name} is not a finite number")
        return number
    if name == "flags":
        flags = value if isinstance(value, list) else str(value).replace(";", ",").split(",")
        return [str(flag).strip() for flag in flags if str(flag).strip()]
    if name == "answered_at":
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        except ValueError as error:
            raise BadRow(f"answered_at is not a time: {_shown(value)}") from error
        if moment.tzinfo is None:
            raise BadRow(f"answered_at has no time zone: {_shown(value)}")
        return moment.isoformat()
    text = str(value)
    if len(text) > LONGEST_NOTE:
        raise BadRow(f"note has {len(text):,} characters, more than {LONGEST_NOTE:,}")
    return text


def _shown(value: object) -> str:
    return repr(value)[:60]
