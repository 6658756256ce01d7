"""What a vendor is sent where a file is refused: a page that needs nothing else, and the rows in question as CSV.

It says what is wrong, in which rows, and what usually causes it. It names no answer that the batch tests people with.
"""

import csv
import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from data.batches.key import UNKNOWN, Key
from data.canonical import content_id, seal
from data.errors import Refused
from data.escape import harmless
from data.ingest.validate import FileResult, file_fault
from data.quality.arrays import best_choices, to_arrays
from data.quality.diagnosis import faults_of_the_file
from data.render.page import PAGES
from data.store import Store
from data.store.manifest import Publication, publish, read_manifest

SHOWN_ROWS, LONGEST = 100, 400  # rows on the page, and characters of each
VERSION = 1
USUALLY = {  # by how the finding begins
    "answers look inverted, or": "Compare a dozen rows with the questions as they were sent.",
    "answers look inverted": "People were asked for the worst, or a scale was read the other way round.",
    "indices look one-based": "Options are counted from 1. They count from 0: the first option shown is 0.",
    "indices are off by one": "Options are counted from another number than 0, or a header was counted as a row.",
    "part of the answers": "One tool, person or part of the delivery was treated unlike the rest: compare them.",
    "rows are joined": "A column was sorted without the others, or answers were joined to question ids by row number.",
    "slots are not mapped back": "Options were shown in another order than sent, and the answers name that order.",
}


class ReceivedFile(NamedTuple):
    """A file that answers a batch."""

    store: Store
    campaign: str
    batch: str
    file: Path
    digest: str  # SHA-256


def refuse_if_wrong(
    received: ReceivedFile, result: FileResult, key: Key, predicted: Mapping[str, int], despite: bool
) -> None:
    """Raise Refused, with a report for the vendor, where a file cannot be trusted or its answers look wrong as a whole.

    With `despite` a person takes answers that look wrong; rows that cannot be used are no matter of opinion.
    """
    if (wrong := file_fault(result, key)) is not None:
        raise Refused(_refuse(received, *wrong, result) + " Have it corrected and deliver it again.")
    shown = bool(predicted) or bool((key.gold != UNKNOWN).any())
    if despite or not shown or not len(result.accepted):
        return
    faults = faults_of_the_file(to_arrays(key, best_choices(result.accepted, key), predicted))
    if not faults:
        return
    raise Refused(
        f"{_refuse(received, faults[0].fault, faults[0].evidence, result)} Have the file corrected and deliver it "
        'again, or take it with andon ingest --despite "your reason".'
    )


def _refuse(received: ReceivedFile, fault: str, evidence: str, result: FileResult) -> str:
    """Record the refusal, by which `andon status` and the inbox know of it, and return what is said of the file."""
    store, campaign, batch, file, digest = received
    said = {"batch": batch, "fault": fault, "evidence": evidence, "at": datetime.now(UTC).isoformat()}
    document = {"file": file.name, "file_sha256": digest, **said}
    store.put_new(f"campaigns/{campaign}/quality/refused/{digest}.json", seal(document))
    report = report_refusal(received, fault, evidence, result).address("report.html")
    return f"{file.name}: {fault}: {evidence}. Nothing was taken. The report for the vendor is {report}."


def report_refusal(received: ReceivedFile, fault: str, evidence: str, result: FileResult) -> Publication:
    """Publish the report on a refused file, `report.html` and `rows.csv`; the same refusal again gives the same one."""
    store, campaign, batch, file, digest = received
    began = datetime.now(UTC)
    inputs = {"batch": batch, "file_sha256": digest, "fault": fault, "evidence": evidence, "version": VERSION}
    prefix = f"campaigns/{campaign}/quality/reports/refused/{content_id(inputs)}"
    if (published := read_manifest(store, prefix)) is not None:
        return published
    page = PAGES.get_template("refusal.html").render(
        file=file.name,
        digest=digest,
        batch=batch,
        at=began.isoformat(timespec="minutes"),
        rows=result.rows,
        bad=result.bad,
        fault=fault,
        said=evidence,
        usually=next((cause for name, cause in USUALLY.items() if fault.startswith(name)), None),
        reasons=[(result.first_of[kind], count) for kind, count in result.kinds.most_common()],
        shown=[row | {"raw": _shown_row(row["raw"])} for row in result.quarantined[:SHOWN_ROWS]],
    )
    files: dict[str, Path | bytes] = {"report.html": page.encode(), "rows.csv": _table(result)}
    facts = {"file": file.name, "batch": batch}
    return publish(store, prefix, "refusal", files, inputs=inputs, facts=facts, began=began)


def _shown_row(raw: Mapping[str, Any] | str) -> str:
    """Return a row's values as delivered, or a line that is no row, on one line, cut where it is long."""
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
