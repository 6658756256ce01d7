"""The report that a vendor is sent about a refused file: one page, and the unusable rows as CSV.

The page says what is wrong, in which rows, and what usually causes it. It names no answer that the batch tests people
with.
"""

import csv
import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data.canonical import content_id
from data.escape import harmless
from data.ingest.codes import Fault, RefusalCode
from data.ingest.receive import ReceivedFile
from data.ingest.validate import FileResult
from data.labels.findings import Code
from data.paths import quality_report_prefix
from data.render.page import PAGES
from data.store.manifest import Publication, publish, read_manifest

SHOWN_ROWS, LONGEST = 100, 400  # rows on the page, and characters of each
VERSION = 2
CAUSES: Mapping[str, str] = {
    RefusalCode.INDICES_ONE_BASED: "Options are counted from 1. They count from 0: the first option shown is 0.",
    Code.INVERTED: "People were asked for the worst, or a scale was read the other way round.",
    Code.INVERTED_OR_RANDOM: "Compare a dozen rows with the questions as they were sent.",
    Code.OFF_BY_ONE: "Options are counted from another number than 0, or a header was counted as a row.",
    Code.PARTLY_WRONG: "One tool, person or part of the delivery was treated unlike the rest: compare them.",
    Code.WRONG_JOIN: "A column was sorted without the others, or answers were joined to question ids by row number.",
    Code.UNMAPPED: "Options were shown in another order than sent, and the answers name that order.",
    Code.UNMAPPED_OR_WRONG_JOIN: "Options were shown in another order than sent, and the answers name that order.",
}


def report_refusal(received: ReceivedFile, fault: Fault, result: FileResult) -> Publication:
    """Publish the report on a refused file, `report.html` and `rows.csv`; the same refusal again gives the same one."""
    began = datetime.now(UTC)
    inputs = {"batch": received.batch, "file_sha256": received.digest, **fault._asdict(), "version": VERSION}
    prefix = quality_report_prefix(received.name, "refused", content_id(inputs))
    if (published := read_manifest(received.store, prefix)) is not None:
        return published
    page = PAGES.get_template("refusal.html").render(
        file=received.path.name,
        digest=received.digest,
        batch=received.batch,
        at=began.isoformat(timespec="minutes"),
        rows=result.rows,
        bad=result.bad,
        fault=fault,
        cause=CAUSES.get(fault.code),
        reasons=[(result.first_of[kind], count) for kind, count in result.kinds.most_common()],
        shown=[row | {"raw": _shown_row(row["raw"])} for row in result.quarantined[:SHOWN_ROWS]],
    )
    files: dict[str, Path | bytes] = {"report.html": page.encode(), "rows.csv": _table(result)}
    facts = {"file": received.path.name, "batch": received.batch, "code": fault.code}
    return publish(received.store, prefix, "refusal", files, inputs=inputs, facts=facts, began=began)


def _shown_row(raw: Mapping[str, Any] | str) -> str:
    """Return a row's values as delivered, or a line that is no row, on one line and cut if it is long."""
    if isinstance(raw, str):
        text = json.dumps(raw, ensure_ascii=False)
    else:
        text = ", ".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in raw.items())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def _table(result: FileResult) -> bytes:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["row", "reason", "delivered"])
    for row in result.quarantined:
        table.writerow([row["row"], harmless(row["reason"]), harmless(json.dumps(row["raw"], ensure_ascii=False))])
    return text.getvalue().encode(errors="backslashreplace")
