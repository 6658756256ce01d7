"""Ingesting: a delivered answer file becomes labels of a campaign, once.

A delivery is copied into the inbox before it is read, then read in a child process, judged, and committed by one
numbered log entry.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from data.batches.index import Batch, batches
from data.batches.key import Key, read_key_columns, shown_text_hashes
from data.batches.schema import write_table
from data.campaign.settings import Quality
from data.canonical import Document, sha256, sha256_of_file
from data.cord import cord
from data.errors import Refused
from data.escape import shown
from data.ingest.match import RowLimits
from data.ingest.receive import receive
from data.ingest.refusal import ReceivedFile, refuse_if_wrong
from data.ingest.sandbox import ParsedFile, read_sandboxed
from data.ingest.validate import FileResult, validate
from data.labels.decisions import batch_statuses
from data.labels.findings import StoredFinding
from data.labels.table import committed_table
from data.paths import KEY_FILE, campaign_of, comparisons_of, name_in
from data.quality.assess_batch import assess_batch
from data.store import Store, log

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
    label_set: str | None = None  # of all that counts, where somebody froze it
    ignored: tuple[str, ...] = ()  # columns of the file that nobody asked for
    report: str | None = None  # on the quality of its batch, where somebody wrote it
    compares: bool = False  # answers of an evaluation: nothing is trained on them
    held: tuple[str, ...] = ()  # labelers whose answers do not count, whatever becomes of the batch


def ingest(
    store: Store,
    campaign: str,
    delivery: Path,
    scratch: Path,
    policy: Quality | None = None,
    predict: Predict = lambda batch: {},
    despite: str | None = None,
) -> IngestResult:
    """Take a delivered answer file into the labels of a campaign, once; raise Refused where it cannot be trusted.

    `scratch` is an empty folder of the caller's. `predict` tells what the last reward model likes best of each question
    of a batch. A file whose answers as a whole look wrong is refused with a diagnosis, unless a person says `despite`
    which reason it shall be taken. A row that flags `stop_run` pulls the cord, also where the file is refused.
    """
    if despite is not None and not despite.strip():
        raise Refused("--despite needs a reason: say why answers that look wrong shall be taken.")
    policy = policy or Quality()
    pa.set_memory_pool(pa.system_memory_pool())  # which gives back what large files took
    arrived = receive(delivery, scratch)  # a copy of our own: what is judged is what is stored
    digest = sha256_of_file(arrived)
    sent = [*batches(store, comparisons_of(campaign)), *batches(store, campaign)]
    if not sent:
        raise Refused(f"Campaign {campaign} has no batch in {store.uri}: run andon export {campaign} first.")
    rows = read_sandboxed(arrived, scratch / "rows.arrow")
    batch, key = _batch_of(sent, rows, f"campaign {campaign} in {store.uri}", arrived.name)
    compares = name_in(batch.prefix) != campaign
    campaign = name_in(batch.prefix)  # from here on: answers to comparisons go where no label set reads them
    predicted = {} if compares else predict(batch)  # and what a reward model likes is no measure of them
    prefix = f"campaigns/{campaign}"
    inbox = f"{prefix}/inbox/{batch['batch']}/{digest}"  # a name of ours: theirs may hold anything
    store.put_file(inbox, arrived)
    rules = RowLimits(
        policy,
        _utc(datetime.fromisoformat(batch.manifest["began"]) - CLOCKS),
        _utc(datetime.now(UTC) + CLOCKS),
        shown_text_hashes(batch.path(KEY_FILE), rows.texts) if rows.texts else None,
    )
    outcome: dict[str, Document] = {}

    def commit(so_far: list[Document]) -> Document | None:
        earlier = next((entry for entry in so_far if entry["file_sha256"] == digest), None)
        if earlier is not None:
            outcome["entry"] = earlier | {"accepted": 0, "quarantined": 0, "duplicates": earlier["rows"], "reasons": {}}
            return None
        result = validate(rows, key, committed_table(store, so_far, batch["batch"]), batch["batch"], rules)
        _pull_cord(store, campaign, batch["batch"], digest, result)
        refuse_if_wrong(
            ReceivedFile(store, campaign, batch["batch"], arrived, digest), result, key, predicted, despite is not None
        )
        outcome["entry"] = _stored(store, campaign, result, scratch) | {
            "kind": "ingest",
            "batch": batch["batch"],
            "file": inbox,
            "file_name": arrived.name,
            "file_sha256": digest,
            "ignored_columns": rows.ignored,
            "despite": despite,
        }
        return outcome["entry"]

    log.append(store, f"{prefix}/labels/log", commit)
    entry = outcome["entry"]
    assessment = assess_batch(store, campaign, batch, key, policy, predicted)
    pa.default_memory_pool().release_unused()
    status = batch_statuses(store, campaign)[batch["batch"]]
    return IngestResult(
        entry["batch"],
        entry["accepted"],
        entry["quarantined"],
        entry["duplicates"],
        entry["reasons"],
        status.decision,
        tuple(assessment["findings"]),
        ignored=tuple(rows.ignored),
        compares=compares,
        held=status.held,
    )


def _stored(store: Store, campaign: str, result: FileResult, scratch: Path) -> Document:
    """Store the accepted labels and the quarantined rows, and return the counts and where they lie."""
    prefix = f"campaigns/{campaign}/labels"
    write_table(result.accepted, scratch / "accepted.parquet")
    quarantine = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in result.quarantined).encode()
    accepted_sha256 = sha256_of_file(scratch / "accepted.parquet")
    accepted_key = f"{prefix}/accepted/{accepted_sha256}.parquet"
    quarantine_key = f"{prefix}/quarantined/{sha256(quarantine)}.jsonl"
    store.put_file(accepted_key, scratch / "accepted.parquet")
    store.put_new(quarantine_key, quarantine)
    skipped: Document = {"skipped": len(result.skipped)}
    if len(result.skipped):
        write_table(result.skipped, scratch / "skipped.parquet")
        skipped["skipped_sha256"] = sha256_of_file(scratch / "skipped.parquet")
        skipped["skipped_key"] = f"{prefix}/skipped/{skipped['skipped_sha256']}.parquet"
        store.put_file(skipped["skipped_key"], scratch / "skipped.parquet")
    pa.default_memory_pool().release_unused()
    return {
        "rows": result.rows,
        "accepted": len(result.accepted),
        "corrections": len(result.accepted) - result.accepted["supersedes"].null_count,
        "quarantined": result.bad,
        "duplicates": result.duplicates,
        **skipped,
        "reasons": dict(result.kinds),
        "accepted_key": accepted_key,
        "accepted_sha256": accepted_sha256,
        "quarantined_key": quarantine_key,
    }


def _pull_cord(store: Store, campaign: str, batch: str, digest: str, result: FileResult) -> None:
    """Pull the cord, once a file, where a labeler asks for it."""
    if not result.stops or any(each.pull.evidence.get("file_sha256") == digest for each in cord.pulls(store)):
        return
    first = result.stops[0]
    who = f"labeler {first['labeler_id']}" if "labeler_id" in first else "a labeler"
    words = first.get("note") or first.get("critique")
    reason = f"{who} flags stop_run on question {first['question_id']}" + (f": {shown(words, 200)}" if words else "")
    evidence = {"batch": batch, "file_sha256": digest, "rows": result.stops[:20], "flagged": len(result.stops)}
    cord.pull(store, reason, by=who, scope=f"campaign:{campaign_of(campaign)}", evidence=evidence)


def _batch_of(sent: list[Batch], rows: ParsedFile, where: str, name: str) -> tuple[Batch, Key]:
    """Find the batch that most of a file's rows belong to; raise Refused where it is not the one that they name."""
    first, named = "", set[str]()
    found: list[tuple[int, Batch, Key]] = []
    for batch in reversed(sent):
        key, answered = read_key_columns(batch.path(KEY_FILE)), 0
        for part in rows.columns("question_id"):
            first = first or next((each for each in part.column("question_id").to_pylist() if each), "")
            answered += part.num_rows - key.find(part.column("question_id")).null_count
            if 2 * answered > rows.total:
                break
        found.append((answered, batch, key))
        if 2 * answered > rows.total:
            break
    answered, batch, key = max(found, key=lambda each: each[0])
    if not answered:
        raise Refused(
            f"{name} answers no question of {where}: it belongs to another batch, campaign or store. Its first "
            f"question_id is {shown(first, 40)}."
        )
    for part in rows.columns("batch_id"):
        named |= set(pc.unique(part.column("batch_id").drop_null()).to_pylist())
    if wrong := sorted(named - {batch["batch"]}):
        raise Refused(
            f"{name} says that it answers batch {shown(wrong[0], 40)}, and its questions are of {batch['batch']}."
        )
    return batch, key


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
