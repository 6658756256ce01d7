"""Matching: which question each delivered row answers, which sample each position was, and which rows do not fit."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache, reduce
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data.answers import DETAILED
from data.answers.answer import NO_DETAILS, text_of, to_samples
from data.answers.base import BadAnswer
from data.batches.key import Key
from data.batches.schema import QUESTION_ID
from data.campaign.settings import Quality
from data.escape import shown
from data.ingest.fields import one_name
from data.labels.table import SKIPPED

MATCHED = pa.schema(
    [
        ("row", pa.int64()),
        ("question", pa.int32()),  # its place in the key
        ("question_id", pa.string()),
        ("labeler_id", pa.string()),
        ("best", pa.int32()),  # as delivered
        ("best_shown", pa.int8()),  # null unless one single option is best
        ("best_sample", pa.int8()),
        *((kind.name, kind.stored_type) for kind in DETAILED),  # by sample
        ("answer_key", pa.string()),  # JSON of an answer with details; null for a best option alone
        ("seconds", pa.float64()),
        ("confidence", pa.float64()),
        ("note", pa.string()),
        ("critique", pa.string()),
        ("correction", pa.string()),
        ("flags", pa.list_(pa.string())),
        ("answered_at", pa.string()),
        ("supersedes", pa.string()),
    ]
)
STOP = "stop_run"
NOTHING = pa.scalar(None, pa.string())


class RowLimits(NamedTuple):
    """What else a row is held to."""

    thresholds: Quality = Quality()
    earliest: str = ""  # ISO 8601 in UTC; no answer was given before
    latest: str = "9999"  # nor after
    texts: pa.Array | None = None  # hash of the texts of each question, if the file returns them


class Matched(NamedTuple):
    """Some rows of a file, sorted by what can be decided about each of them alone."""

    rows: int
    good: pa.Table  # MATCHED
    bad: pa.RecordBatch  # PARSED, with problem and raw
    skipped: pa.Table  # SKIPPED
    one_beyond: int  # rows whose option is one beyond the last, as if options counted from 1
    stops: list[dict[str, Any]]  # rows that flag STOP


def match_rows(part: pa.RecordBatch, key: Key, limits: RowLimits) -> Matched:
    """Find the question of each row, and say by sample what was answered by position."""
    question = key.find(part.column("question_id"))
    same = pc.equal(part.column("content_sha256"), key.hashes.take(question)).fill_null(False)
    beyond = _beyond(part, key)
    ranked = _by_sample(part, question, key)
    problem = pc.coalesce(
        part.column("problem"),
        _unknown(part.column("question_id"), question),
        _other_content(part, same),
        _other_texts(part, question, limits.texts),
        _not_on_roster(part, limits.thresholds.roster),
        _out_of_time(part, limits),
        beyond,
        ranked["problem"],
    )
    fine, skipped = pc.is_null(problem), part.column("skip").fill_null(False)
    chosen = np.flatnonzero(pc.and_(fine, pc.invert(skipped)).to_numpy(zero_copy_only=False))
    columns = {name: part.column(name) for name in MATCHED.names if name in part.schema.names} | ranked
    columns["question"] = question
    good = pa.table({name: columns[name].take(chosen) for name in MATCHED.names}, MATCHED)
    wrong = np.flatnonzero(pc.invert(fine).to_numpy(zero_copy_only=False))
    return Matched(
        part.num_rows,
        good,
        _bad(part, problem, wrong),
        pa.table({name: part.column(name) for name in SKIPPED.names}, SKIPPED).filter(pc.and_(fine, skipped)),
        pc.sum(pc.equal(part.column("best"), key.k).filter(pc.is_null(part.column("problem")))).as_py() or 0,
        _stops(part, same),
    )


def _unknown(ids: pa.Array, question: pa.Array) -> pa.Array:
    """Say of every id that is none in the key what is wrong with it."""
    reasons = np.full(len(ids), None, object)
    lost = np.flatnonzero(question.is_null().to_numpy(zero_copy_only=False))
    for row, name in zip(lost.tolist(), ids.take(lost).to_pylist(), strict=True):
        ours = isinstance(name, str) and QUESTION_ID.fullmatch(name)
        reasons[row] = (
            f"question {name} is not in this batch" if ours else f"question_id is not one of ours: {shown(name)}"
        )
    return pa.array(reasons, pa.string())


def _other_content(part: pa.RecordBatch, same: pa.Array) -> pa.Array:
    after = ": the labeler saw another text or order"
    differs = _joined("content_sha256 differs from what was sent for ", part, "question_id", after)
    missing = pc.is_null(part.column("content_sha256"))
    return pc.if_else(same, NOTHING, pc.if_else(missing, "content_sha256 is missing", differs))


def _other_texts(part: pa.RecordBatch, question: pa.Array, texts: pa.Array | None) -> pa.Array:
    if texts is None:
        return pa.nulls(part.num_rows, pa.string())
    changed = pc.fill_null(pc.not_equal(part.column("texts"), texts.take(question)), False)
    problem = _joined("the text came back changed: query or options of ", part, "question_id")
    return pc.if_else(changed, problem, NOTHING)


def _joined(before: str, part: pa.RecordBatch, name: str, after: str = "") -> pa.Array:
    return pc.binary_join_element_wise(before, part.column(name).cast(pa.string()), after, "", null_handling="replace")


def _not_on_roster(part: pa.RecordBatch, roster: Sequence[str] | None) -> pa.Array:
    if roster is None:
        return pa.nulls(part.num_rows, pa.string())
    there = pc.is_in(part.column("labeler_id"), pa.array(map(one_name, roster), pa.string()))
    return pc.if_else(there, NOTHING, _joined("labeler ", part, "labeler_id", " is not on the campaign's roster"))


def _out_of_time(part: pa.RecordBatch, limits: RowLimits) -> pa.Array:
    at = part.column("answered_at")
    early, late = (pc.fill_null(test, False) for test in (pc.less(at, limits.earliest), pc.greater(at, limits.latest)))
    reasons = "answered_at lies before the batch was sent: ", "answered_at lies in the future: "
    return pc.if_else(
        early,
        _joined(reasons[0], part, "answered_at"),
        pc.if_else(late, _joined(reasons[1], part, "answered_at"), NOTHING),
    )


def _beyond(part: pa.RecordBatch, key: Key) -> pa.Array:
    best = part.column("best")
    out = pc.fill_null(pc.or_(pc.less(best, 0), pc.greater_equal(best, key.k)), False)
    return pc.if_else(out, _joined("best is ", part, "best", f"; the question has options 0 to {key.k - 1}"), NOTHING)


def _by_sample(part: pa.RecordBatch, question: pa.Array, key: Key) -> dict[str, pa.Array]:
    """Return what was answered by sample, and what is wrong with it; a choice alone in one go, the rest by rows."""
    count = part.num_rows
    places = question.fill_null(0).to_numpy()
    given = part.column("best")
    slots = given.fill_null(-1).to_numpy().astype(np.int64)
    usable = (slots >= 0) & (slots < key.k)
    samples = key.shown[places, np.where(usable, slots, 0)]
    names = [kind.name for kind in DETAILED]
    details: dict[str, NDArray[Any]] = {name: np.full(count, None, object) for name in (*names, "answer_key")}
    problems = np.full(count, None, object)
    more = reduce(pc.or_, (pc.is_valid(part.column(name)) for name in names))
    read = lru_cache(100_000)(_read)  # many rows share few different answers
    rows = np.flatnonzero(pc.and_(more, pc.is_valid(question)).to_numpy(zero_copy_only=False))
    answers = zip(*(part.column(name).take(rows).to_pylist() for name in ("best", *names)), strict=True)
    for row, answer, order in zip(rows.tolist(), answers, map(tuple, key.shown[places[rows]].tolist()), strict=True):
        if answer[0] is not None and not usable[row]:
            continue  # out of range is a problem already
        slot, by_sample, problems[row] = read(*answer, order)
        usable[row] = slot is not None
        if slot is not None:
            slots[row], samples[row] = slot, order[slot]
        for name, value in by_sample.items():
            details[name][row] = value
        details["answer_key"][row] = text_of(None if slot is None else order[slot], by_sample)
    return {
        "best_shown": pa.array(slots, pa.int8(), mask=~usable, safe=False),
        "best_sample": pa.array(samples, pa.int8(), mask=~usable, safe=False),
        **{kind.name: pa.array(details[kind.name], kind.stored_type) for kind in DETAILED},
        "answer_key": pa.array(details["answer_key"], pa.string()),
        "problem": pa.array(problems, pa.string()),
    }


def _read(best: int | None, *values: Any) -> tuple[int | None, Mapping[str, Any], str | None]:
    """Read an answer with details, its values in the order of DETAILED and then the shown order of its question."""
    *given, order = values
    rows = {kind.name: value for kind, value in zip(DETAILED, given, strict=True) if value is not None}
    try:
        return *to_samples(best, rows, order), None
    except BadAnswer as bad:
        return None, NO_DETAILS, str(bad)


def _bad(part: pa.RecordBatch, problem: pa.Array, wrong: NDArray[np.int64]) -> pa.RecordBatch:
    bad = part.take(wrong)
    raw = bad.column("raw").to_pylist()
    if None in raw:
        hidden = {"row", "raw", "problem", "texts"}
        values = bad.to_pylist()
        for number, known in enumerate(raw):
            if known is None:
                row = {name: v for name, v in values[number].items() if v is not None and name not in hidden}
                raw[number] = json.dumps(row, ensure_ascii=False)
    columns = {name: bad.column(name) for name in part.schema.names}
    columns |= {"problem": problem.take(wrong), "raw": pa.array(raw, pa.string())}
    return pa.RecordBatch.from_pydict(columns, schema=part.schema)


def _stops(part: pa.RecordBatch, same: pa.Array) -> list[dict[str, Any]]:
    """Return who flags STOP, however their tool writes it, about a question here, whatever else is wrong with a row."""
    if part.column("flags").null_count == part.num_rows:
        return []
    names = ["row", "question_id", "labeler_id", "flags", "note", "critique"]
    flagged = part.select(names).filter(pc.and_(same, pc.is_valid(part.column("flags")))).to_pylist()
    stops = [row for row in flagged if STOP in (flag.strip().casefold() for flag in row["flags"])]
    return [{n: v for n, v in row.items() if v is not None} for row in stops]
