"""Ingesting: a delivered answer file becomes labels of a campaign, once.

A delivery is copied into the inbox before it is read. Then it is read in a child process, validated, and committed by
one numbered log entry.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from data.batches.index import Batch
from data.batches.key import Key, shown_text_hashes
from data.batches.schema import write_table
from data.campaign.settings import Quality
from data.canonical import Document, sha256, sha256_of_file
from data.cord import cord
from data.errors import Refused
from data.escape import is_blank, shown
from data.ingest.answered_batch import answered_batch, sent_batches
from data.ingest.match import RowLimits
from data.ingest.memory import system_memory
from data.ingest.receive import ReceivedFile, receive
from data.ingest.refusal import refuse_if_wrong
from data.ingest.sandbox import ParsedFile, read_sandboxed
from data.ingest.validate import FileResult, validate
from data.labels.decisions import batch_statuses
from data.labels.delivery import DeliveryEntry, NewEntry, StoredResult
from data.labels.findings import StoredFinding
from data.labels.table import DELIVERIES, committed_table, deliveries
from data.paths import (
    KEY_FILE,
    accepted_key,
    campaign_of,
    inbox_prefix,
    label_log_prefix,
    name_in,
    quarantined_key,
    skipped_key,
)
from data.quality.assess_batch import assess_batch
from data.store import Store

Predict = Callable[[Batch], Mapping[str, int]]
CLOCKS = timedelta(days=1)  # by which a vendor's may be wrong


class IngestResult(NamedTuple):
    """What one delivery added, and what is now decided about its batch."""

    batch: str
    accepted: int
    quarantined: int
    duplicates: int
    reasons: dict[str, int]
    decision: str = "accept"
    findings: tuple[StoredFinding, ...] = ()
    label_set: str | None = None  # of all labels that count, if somebody froze them
    ignored: tuple[str, ...] = ()  # columns that are not part of the contract
    report: str | None = None  # on the quality of its batch, if somebody wrote it
    compares: bool = False  # answers of an evaluation: nothing is trained on them
    held: tuple[str, ...] = ()  # labelers whose answers do not count, whatever becomes of the batch


@dataclass(frozen=True)
class Ingestion:
    """One file on its way into the log: its rows, what they are held to, and why a person accepts it all the same."""

    received: ReceivedFile
    rows: ParsedFile
    key: Key
    limits: RowLimits
    predicted: Mapping[str, int]  # by question, which sample the last reward model likes best
    despite: str | None
    by_labeler: bool  # whether its answers were decided labeler by labeler already
    scratch: Path


def ingest(
    store: Store,
    campaign: str,
    delivery: Path,
    scratch: Path,
    thresholds: Quality | None = None,
    predict: Predict = lambda batch: {},
    despite: str | None = None,
    by_labeler: bool = False,
) -> IngestResult:
    """Take a delivered answer file into the labels of a campaign, once; raise Refused if it cannot be trusted.

    `scratch` is an empty folder of the caller's. `predict` tells which sample the last reward model likes best of each
    question of a batch. A file whose answers as a whole look wrong is refused with a diagnosis, unless a person says
    with `despite` why it is to be accepted. A row that flags `stop_run` pulls the cord, also if the file is refused.
    A file of the labeling page is decided `by_labeler` before it is written (data/ingest/page_delivery.py): it is not
    refused as a whole, and each row that cannot be used is quarantined alone.
    """
    if despite is not None and is_blank(despite):
        raise Refused("--despite needs a reason: say why answers that look wrong shall be taken.")
    thresholds = thresholds or Quality()
    with system_memory():
        copy = receive(delivery, scratch)
        sent = sent_batches(store, campaign)
        rows = read_sandboxed(copy, scratch / "rows.arrow")
        batch, key = answered_batch(sent, rows, f"campaign {campaign} in {store.uri}", copy.name)
        name = name_in(batch.prefix)  # of the campaign, or of its comparisons, which no label set reads
        received = ReceivedFile(store, name, batch["batch"], copy, sha256_of_file(copy))
        store.put_file(_inbox_key(received), copy)
        compares = name != campaign
        predicted = {} if compares else predict(batch)  # a comparison is not measured by what a reward model likes
        limits = row_limits(batch, rows.texts, thresholds)
        entry = _commit(Ingestion(received, rows, key, limits, predicted, despite, by_labeler, scratch))
        assessment = assess_batch(store, name, batch, key, thresholds, predicted)
    status = batch_statuses(store, name)[batch["batch"]]
    return IngestResult(
        batch=entry["batch"],
        accepted=entry["accepted"],
        quarantined=entry["quarantined"],
        duplicates=entry["duplicates"],
        reasons=entry["reasons"],
        decision=status.decision,
        findings=tuple(assessment["findings"]),
        ignored=tuple(rows.ignored),
        compares=compares,
        held=status.held,
    )


def row_limits(batch: Batch, texts: Sequence[str], thresholds: Quality) -> RowLimits:
    """Return what each row is held to: the times between which it was answered, and hashes of
    the columns of `texts` that were shown."""
    earliest = datetime.fromisoformat(batch.manifest["began"]) - CLOCKS
    latest = datetime.now(UTC) + CLOCKS
    hashes = shown_text_hashes(batch.path(KEY_FILE), texts) if texts else None
    return RowLimits(thresholds, earliest.astimezone(UTC).isoformat(), latest.isoformat(), hashes)


def _inbox_key(received: ReceivedFile) -> str:
    """Return where our copy of a file is kept, under a name of ours: a vendor's name may hold anything."""
    return f"{inbox_prefix(received.name, received.batch)}/{received.digest}"


def _commit(ingestion: Ingestion) -> DeliveryEntry:
    """Append the entry of a file to the log, and return it; a file that is there already adds nothing."""
    store, name, digest = ingestion.received.store, ingestion.received.name, ingestion.received.digest

    def decide(entries: list[DeliveryEntry]) -> NewEntry | None:
        return None if _entry_of(entries, digest) else _entry(ingestion, entries)

    added = DELIVERIES.append(store, label_log_prefix(name), decide)
    if added is not None:
        return added
    earlier = _entry_of(deliveries(store, name), digest)
    assert earlier is not None
    return {**earlier, "accepted": 0, "quarantined": 0, "duplicates": earlier["rows"], "reasons": {}}


def _entry_of(entries: list[DeliveryEntry], digest: str) -> DeliveryEntry | None:
    """Return the entry of the file with this SHA-256."""
    return next((entry for entry in entries if entry["file_sha256"] == digest), None)


def _entry(ingestion: Ingestion, so_far: list[DeliveryEntry]) -> NewEntry:
    """Validate the rows against the labels so far, store what came of them, and return the entry for the log."""
    received, key = ingestion.received, ingestion.key
    labels = committed_table(received.store, so_far, received.batch)
    result = validate(ingestion.rows, key, labels, received.batch, ingestion.limits)
    _pull_cord(received, result)
    if not ingestion.by_labeler:
        refuse_if_wrong(received, result, key, ingestion.predicted, ingestion.despite is not None)
    return {
        **_stored(received, result, ingestion.scratch),
        "kind": "ingest",
        "batch": received.batch,
        "file": _inbox_key(received),
        "file_name": received.path.name,
        "file_sha256": received.digest,
        "ignored_columns": ingestion.rows.ignored,
        "despite": ingestion.despite,
    }


def _stored(received: ReceivedFile, result: FileResult, scratch: Path) -> StoredResult:
    """Store the accepted labels and the other rows, and return the counts and the keys."""
    store, name = received.store, received.name
    digest = _written(result.accepted, scratch / "accepted.parquet")
    labels = accepted_key(name, digest)
    store.put_file(labels, scratch / "accepted.parquet")
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in result.quarantined).encode()
    quarantine = quarantined_key(name, sha256(lines))
    store.put_new(quarantine, lines)
    stored: StoredResult = {
        "rows": result.rows,
        "accepted": len(result.accepted),
        "corrections": len(result.accepted) - result.accepted["supersedes"].null_count,
        "quarantined": result.bad,
        "duplicates": result.duplicates,
        "skipped": len(result.skipped),
        "reasons": dict(result.kinds),
        "accepted_key": labels,
        "accepted_sha256": digest,
        "quarantined_key": quarantine,
    }
    if len(result.skipped):
        stored["skipped_sha256"] = _written(result.skipped, scratch / "skipped.parquet")
        stored["skipped_key"] = skipped_key(name, stored["skipped_sha256"])
        store.put_file(stored["skipped_key"], scratch / "skipped.parquet")
    pa.default_memory_pool().release_unused()
    return stored


def _written(table: pa.Table, path: Path) -> str:
    """Write a table and return the SHA-256 of the file."""
    write_table(table, path)
    return sha256_of_file(path)


def _pull_cord(received: ReceivedFile, result: FileResult) -> None:
    """Pull the cord if a labeler asks for it, once a file."""
    pulls = cord.pulls(received.store) if result.stops else []
    if not result.stops or any(each.pull.evidence.get("file_sha256") == received.digest for each in pulls):
        return
    first = result.stops[0]
    who = f"labeler {first['labeler_id']}" if "labeler_id" in first else "a labeler"
    words = first.get("note") or first.get("critique")
    reason = f"{who} flags stop_run on question {first['question_id']}" + (f": {shown(words, 200)}" if words else "")
    evidence: Document = {"batch": received.batch, "file_sha256": received.digest}
    evidence |= {"rows": result.stops[:20], "flagged": len(result.stops)}
    scope = f"campaign:{campaign_of(received.name)}"
    cord.pull(received.store, reason, by=who, scope=scope, evidence=evidence)
