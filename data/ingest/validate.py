"""Validate the rows of a delivered file against the questions of their batch.

A row is quarantined with its reason and raw values if only that row is wrong; the file is refused if more than a
few are. Nothing is guessed or repaired. Everything is done by columns; tests/support/oracle.py says the same row by
row.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.batches.key import Key
from data.batches.schema import QUESTION_ID
from data.ingest.codes import Fault, RefusalCode
from data.ingest.match import Matched, RowLimits, match_rows
from data.ingest.reconcile import reconcile
from data.labels.table import labels_of

BAD_ROWS_ALLOWED = 0.05
FEWEST_TO_SEE_ONE_BASED = 50
NUMBER = re.compile(r"\W*[0-9][0-9a-f.,:;T+Z-]*\W*")  # a hash and a time too
MOST_KEPT = 250_000  # quarantined rows whose values are kept: five in a hundred of the largest file


@dataclass(frozen=True)
class FileResult:
    """What became of every row of a file: accepted + quarantined + duplicates + skipped = rows."""

    rows: int
    accepted: pa.Table  # LABEL
    quarantined: list[dict[str, Any]]  # row, reason, raw; in the order of the rows
    bad: int  # how many are quarantined
    duplicates: int
    skipped: pa.Table  # SKIPPED: questions that a labeler would not answer
    stops: list[dict[str, Any]]  # rows that flag stop_run: who, about which question
    one_based: int  # rows whose option is one beyond the last

    @property
    def reasons(self) -> list[str]:
        return [entry["reason"] for entry in self.quarantined]

    @property
    def kinds(self) -> Counter[str]:
        """How often each reason was given, alike for rows that differ in ids and numbers only."""
        return Counter(_kind(reason) for reason in self.reasons)

    @property
    def first_of(self) -> dict[str, dict[str, Any]]:
        """The first quarantined row of each of the kinds."""
        return {_kind(entry["reason"]): entry for entry in reversed(self.quarantined)}


def _kind(reason: str) -> str:
    """Return how a reason begins, without ids and numbers."""
    words = reason.split()[:4]
    return " ".join("..." if QUESTION_ID.fullmatch(word) or NUMBER.fullmatch(word) else word for word in words)


def validate(rows: Iterable[pa.RecordBatch], key: Key, known: pa.Table, batch: str, limits: RowLimits) -> FileResult:
    """Judge rows as data/ingest/parse.py gives them against the key of their batch.

    `known` are all labels of the batch so far (LABEL). A different answer is accepted only if it names
    the label that it supersedes.
    """
    matched = [match_rows(part, key, limits) for part in rows]
    good = pa.concat_tables([part.good for part in matched])
    outcome = reconcile(good, key, known, batch, limits.thresholds.most_answers)
    pa.default_memory_pool().release_unused()
    wrong = np.flatnonzero(outcome.problems.is_valid().to_numpy(zero_copy_only=False))
    quarantined = _quarantined(matched, good, outcome.problems, wrong)
    bad = sum(len(part.bad) for part in matched) + len(wrong)
    return FileResult(
        rows=sum(part.rows for part in matched),
        accepted=labels_of(good if len(outcome.accepted) == len(good) else good.take(outcome.accepted), batch),
        quarantined=quarantined,
        bad=bad,
        duplicates=outcome.duplicates,
        skipped=pa.concat_tables([part.skipped for part in matched]),
        stops=[row for part in matched for row in part.stops],
        one_based=sum(part.one_beyond for part in matched),
    )


def _quarantined(matched: list[Matched], good: pa.Table, problems: pa.Array, wrong: Any) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    for part in matched:
        for row in part.bad.slice(0, MOST_KEPT - len(kept)).to_pylist():
            kept.append({"row": row["row"], "reason": row["problem"], "raw": json.loads(row["raw"])})
    wrong = wrong[: MOST_KEPT - len(kept)]
    names = ["row", "question_id", "labeler_id", "best", "supersedes"]
    for row, problem in zip(good.select(names).take(wrong).to_pylist(), problems.take(wrong).to_pylist(), strict=True):
        number = row.pop("row")
        kept.append({"row": number, "reason": problem, "raw": {n: v for n, v in row.items() if v is not None}})
    return sorted(kept, key=lambda entry: entry["row"])


def file_fault(result: FileResult, key: Key) -> Fault | None:
    """Return why a file cannot be trusted as a whole: it counts options from 1, or too many rows cannot be used."""
    zeros = pc.sum(pc.equal(result.accepted["best_shown"], 0)).as_py()
    if len(result.accepted) + result.one_based >= FEWEST_TO_SEE_ONE_BASED and result.one_based and not zeros:
        evidence = f"best is {key.k} in {result.one_based:,} rows and 0 in none, while options count from 0 to "
        evidence += f"{key.k - 1}. Nothing is shifted for you"
        return Fault(RefusalCode.INDICES_ONE_BASED, "indices look one-based", evidence)
    if result.bad > BAD_ROWS_ALLOWED * result.rows:
        worst = result.quarantined[0]
        evidence = f"more than {BAD_ROWS_ALLOWED:.0%}; the first is row {worst['row']}: {worst['reason']}"
        return Fault(RefusalCode.UNUSABLE_ROWS, f"{result.bad:,} of {result.rows:,} rows cannot be used", evidence)
    return None
