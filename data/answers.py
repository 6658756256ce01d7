"""Answer files: read what a vendor delivered, and judge every row of it.

A file is refused where its rows cannot be trusted to be rows (wrong format, missing column, most ids unknown); a row is
quarantined with its reason and raw values where only that row is wrong. Nothing is guessed or repaired. CSV is read as
text throughout, because readers that infer types turn ids into numbers and 'NA' into nothing.
"""

import csv
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from data.batch import QUESTION_ID
from data.refused import Refused

REQUIRED = ("question_id", "content_sha256", "labeler_id", "best")
OPTIONAL = ("seconds", "confidence", "note", "flags", "answered_at")
BAD_ROWS_ALLOWED = 0.05
LONGEST_NOTE = 20_000
LONGEST_LABELER_ID = 200
MOST_BYTES = 2 << 30
FOREIGN = {
    b"PK\x03\x04": "a zip or Excel file",
    b"\x1f\x8b": "gzip",
    b"ARROW1": "Arrow IPC",
    b"\xd0\xcf\x11\xe0": "Excel",
}
TEXT_TYPES = (pa.types.is_string, pa.types.is_large_string)


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


@dataclass
class Verdict:
    """What became of every row of a file: accepted + quarantined + duplicates = rows."""

    rows: int = 0
    accepted: list[Answer] = field(default_factory=list)
    quarantined: list[dict[str, Any]] = field(default_factory=list)  # row, reason, raw
    duplicates: int = 0


class BadRow(Exception):
    """Why one row cannot be accepted."""


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (row number from 1, row) of a Parquet or CSV file; raise Refused where the file is not one."""
    size = path.stat().st_size if path.is_file() else 0
    if size == 0:
        raise Refused(f"{path.name} is empty: there is nothing to read.")
    if size > MOST_BYTES:
        raise Refused(f"{path.name} has {size:,} bytes: deliver it in files of at most {MOST_BYTES:,}.")
    with path.open("rb") as file:
        head = file.read(8)
    for magic, name in FOREIGN.items():
        if head.startswith(magic):
            raise Refused(f"{path.name} is {name}: deliver answers as Parquet or as UTF-8 CSV.")
    batches = _parquet(path) if head.startswith(b"PAR1") else _csv(path)
    number = 0
    for batch in batches:
        for row in batch.to_pylist():
            number += 1
            yield number, row
    if number == 0:
        raise Refused(f"{path.name} has no rows: nothing was answered.")


def _check_columns(path: Path, names: list[str]) -> list[str]:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise Refused(f"{path.name} has the column {repeated[0]} twice: keep one.")
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        hint = " Separate columns by commas." if len(names) == 1 and re.search(r"[;\t|]", names[0]) else ""
        found = ", ".join(names[:12])[:300]
        raise Refused(f"{path.name} lacks the column {', '.join(missing)}; it has: {found}.{hint}")
    return [name for name in (*REQUIRED, *OPTIONAL) if name in names]


def _parquet(path: Path) -> Iterator[pa.RecordBatch]:
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        columns = _check_columns(path, file.schema_arrow.names)
        best = file.schema_arrow.field("best").type
        if not (pa.types.is_integer(best) or pa.types.is_floating(best) or pa.types.is_null(best)):
            raise Refused(f"{path.name}: the column best is {best}; it must be an integer, the 0-based option shown.")
        for name in ("question_id", "content_sha256", "labeler_id"):
            kind = file.schema_arrow.field(name).type
            plain = kind.value_type if pa.types.is_dictionary(kind) else kind
            if not any(is_text(plain) for is_text in TEXT_TYPES):
                raise Refused(f"{path.name}: the column {name} is {kind}; it must be text.")
        for batch in file.iter_batches(20_000, columns=columns):
            batch.validate(full=True)
            yield batch
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path.name} is not a whole Parquet file ({_first_line(error)}): deliver it again.") from error


def _csv(path: Path) -> Iterator[pa.RecordBatch]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = next(csv.reader(file), [])
        _check_columns(path, names)
        as_text = pa.csv.ConvertOptions(
            column_types={name: pa.string() for name in names},
            strings_can_be_null=False,
            quoted_strings_can_be_null=False,
        )
        quoted = pa.csv.ParseOptions(newlines_in_values=True)
        with pa.csv.open_csv(path, parse_options=quoted, convert_options=as_text) as reader:
            yield from reader
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"{path.name} is neither Parquet nor UTF-8 text: deliver Parquet, or CSV in UTF-8.") from error
    except pa.ArrowInvalid as error:
        raise Refused(f"{path.name} is not a whole CSV file ({_first_line(error)}): deliver it again.") from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:160].rstrip(".") if str(error) else type(error).__name__


def judge(path: Path, asked: Mapping[str, Asked], known: Mapping[tuple[str, str], int]) -> Verdict:
    """Judge every row of an answer file against the questions of its batch.

    `known` holds the answers that count already: (question, labeler) -> best as shown. Raise Refused where the file as
    a whole cannot be trusted, naming the first bad row.
    """
    verdict = Verdict()
    first: dict[tuple[str, str], Answer] = {}
    contradicted: set[tuple[str, str]] = set()
    for number, raw in read_rows(path):
        verdict.rows = number
        try:
            answer = _answer(number, raw, asked)
            key = (answer.question_id, answer.labeler_id)
            if key in known and known[key] != answer.best:
                raise BadRow(f"conflicts with the earlier answer {known[key]} of {answer.labeler_id}")
            if key in first and first[key].best != answer.best:
                contradicted.add(key)
                raise BadRow(f"contradicts row {first[key].row} of the same labeler")
            if key in known or key in first:
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
    if len(verdict.quarantined) > BAD_ROWS_ALLOWED * verdict.rows:
        worst = min(verdict.quarantined, key=lambda entry: entry["row"])
        raise Refused(
            f"{path.name}: {len(verdict.quarantined):,} of {verdict.rows:,} rows cannot be used, more than "
            f"{BAD_ROWS_ALLOWED:.0%}, so none was taken; the first is row {worst['row']}: {worst['reason']}."
        )
    return verdict


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
    optional = {name: _optional(name, raw[name]) for name in OPTIONAL if raw.get(name) not in (None, "", [])}
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
