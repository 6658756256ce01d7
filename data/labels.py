"""The labels of a campaign: which answers count, in which order they came, and frozen sets of them.

A delivery is copied into the inbox before it is read, then judged, then committed by one numbered log entry; what
counts is what comes out of reading that log. Inside the store a label names a sample, not a shown position.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from data import log
from data.answers import Asked, judge, read_rows
from data.batch import read_key, write_table
from data.canonical import Document, canonical_json, seal, sha256, sha256_of_file, unseal
from data.publication import Publication, read_manifest
from data.refused import Refused
from data.store import Store, folders

LABEL = pa.schema(
    [
        ("label_id", pa.string()),
        ("batch_id", pa.string()),
        ("question_id", pa.string()),
        ("labeler_id", pa.string()),
        ("best_sample", pa.int8()),
        ("best_shown", pa.int8()),
        ("source_row", pa.int64()),
        ("seconds", pa.float64()),
        ("confidence", pa.float64()),
        ("note", pa.string()),
        ("flags", pa.list_(pa.string())),
        ("answered_at", pa.string()),
    ]
)


class Ingested(NamedTuple):
    """What one delivery added."""

    batch: str
    accepted: int
    quarantined: int
    duplicates: int
    label_set: str | None
    reasons: dict[str, int]


class Label(NamedTuple):
    batch_id: str
    question_id: str
    labeler_id: str
    best_sample: int


def batches(store: Store, campaign: str) -> list[Publication]:
    """Return the published batches of a campaign, oldest round first."""
    prefix = f"campaigns/{campaign}/batches"
    found = [read_manifest(store, f"{prefix}/{batch_id}") for batch_id in folders(store, prefix)]
    published = [batch for batch in found if batch is not None]
    return sorted(published, key=lambda batch: (batch["round"], batch["batch"]))


def asked_in(batch: Publication) -> dict[str, Asked]:
    """Read from a batch's key what was asked, by question."""
    rows = read_key(batch.path("key/samples.parquet"))
    return {row["question_id"]: Asked(row["content_sha256"], tuple(row["shown"])) for row in rows}


def ingest(store: Store, campaign: str, delivery: Path, scratch: Path) -> Ingested:
    """Take a delivered answer file into the labels of a campaign, once; raise Refused where it cannot be trusted.

    `scratch` is an empty folder of the caller's.
    """
    if not delivery.is_file():
        raise Refused(f"There is no file {delivery}.")
    arrived = scratch / delivery.name  # a copy of our own: what is judged is what is stored, whatever happens outside
    try:
        shutil.copyfile(delivery, arrived)
    except OSError as error:
        raise Refused(f"{delivery} cannot be read: {error.strerror}.") from error
    digest = sha256_of_file(arrived)
    batch, asked = _batch_of(store, campaign, arrived)
    prefix = f"campaigns/{campaign}"
    inbox = f"{prefix}/inbox/{batch['batch']}/{digest}"  # a name of ours: theirs may hold anything
    store.put_file(inbox, arrived)
    outcome: dict[str, Document] = {}

    def commit(so_far: list[Document]) -> Document | None:
        earlier = next((entry for entry in so_far if entry["file_sha256"] == digest), None)
        if earlier is not None:
            outcome["entry"] = earlier | {"accepted": 0, "quarantined": 0, "duplicates": earlier["rows"], "reasons": {}}
            return None
        known = {(row.question_id, row.labeler_id): row.best_shown for row in _committed(store, so_far, batch["batch"])}
        verdict = judge(arrived, asked, known)
        rows = [
            {"batch_id": batch["batch"], "question_id": a.question_id, "labeler_id": a.labeler_id}
            | {"label_id": sha256(canonical_json([batch["batch"], a.question_id, a.labeler_id, a.best_sample]))}
            | {"best_sample": a.best_sample, "best_shown": a.best, "source_row": a.row, **a.optional}
            for a in verdict.accepted
        ]
        write_table(pa.Table.from_pylist(rows, schema=LABEL), scratch / "accepted.parquet")
        quarantine = "".join(json.dumps(row, default=str, ensure_ascii=False) + "\n" for row in verdict.quarantined)
        accepted_sha256 = sha256_of_file(scratch / "accepted.parquet")
        accepted_key = f"{prefix}/labels/accepted/{accepted_sha256}.parquet"
        quarantine_key = f"{prefix}/labels/quarantined/{sha256(quarantine.encode())}.jsonl"
        store.put_file(accepted_key, scratch / "accepted.parquet")
        store.put_new(quarantine_key, quarantine.encode())
        reasons = Counter(" ".join(entry["reason"].split()[:4]) for entry in verdict.quarantined)
        outcome["entry"] = {
            "kind": "ingest",
            "batch": batch["batch"],
            "file": inbox,
            "file_name": delivery.name[:200],
            "file_sha256": digest,
            "rows": verdict.rows,
            "accepted": len(rows),
            "quarantined": len(verdict.quarantined),
            "duplicates": verdict.duplicates,
            "reasons": dict(reasons),
            "accepted_key": accepted_key,
            "accepted_sha256": accepted_sha256,
            "quarantined_key": quarantine_key,
        }
        return outcome["entry"]

    log.append(store, f"{prefix}/labels/log", commit)
    entry = outcome["entry"]
    counts = entry["accepted"], entry["quarantined"], entry["duplicates"]
    return Ingested(entry["batch"], *counts, freeze(store, campaign), entry["reasons"])


def _batch_of(store: Store, campaign: str, delivery: Path) -> tuple[Publication, dict[str, Asked]]:
    """Find the batch that most of a file's questions belong to."""
    sent = batches(store, campaign)
    if not sent:
        raise Refused(f"Campaign {campaign} has no batch in {store.uri}: run andon export {campaign} first.")
    ids = {str(row["question_id"]) for _, row in read_rows(delivery)}
    asked = {batch["batch"]: asked_in(batch) for batch in sent}
    best = max(sent, key=lambda batch: len(ids & asked[batch["batch"]].keys()))
    if not ids & asked[best["batch"]].keys():
        raise Refused(
            f"{delivery.name} answers no question of campaign {campaign} in {store.uri}: it belongs to another batch, "
            f"campaign or store. Its first question_id is {sorted(ids)[0][:40]!r}."
        )
    return best, asked[best["batch"]]


class _Committed(NamedTuple):
    label_id: str
    batch_id: str
    question_id: str
    labeler_id: str
    best_sample: int
    best_shown: int


def _committed(store: Store, entries: list[Document], batch: str | None = None) -> Iterator[_Committed]:
    """Yield the labels of the log's entries, each file checked against the hash in its entry."""
    for entry in entries:
        if batch is not None and entry["batch"] != batch:
            continue
        path = store.local_path(entry["accepted_key"])
        if sha256_of_file(path) != entry["accepted_sha256"]:
            raise Refused(f"{entry['accepted_key']} in {store.uri} is damaged: restore it from a backup.")
        columns = pq.read_table(path, columns=list(_Committed._fields)).to_pydict()
        yield from map(_Committed, *(columns[name] for name in _Committed._fields))


def deliveries(store: Store, campaign: str) -> list[Document]:
    """Return the log of what was ingested."""
    return log.entries(store, f"campaigns/{campaign}/labels/log")


def freeze(store: Store, campaign: str, through_round: int | None = None) -> str | None:
    """Freeze all accepted labels, or those of the first rounds, and return the label set; None where there are none."""
    rounds = {batch["batch"]: batch["round"] for batch in batches(store, campaign)}
    committed = [e for e in deliveries(store, campaign) if through_round is None or rounds[e["batch"]] <= through_round]
    rows = sorted(_committed(store, committed), key=lambda row: row.label_id)
    if not rows:
        return None
    label_set = "ls" + sha256(canonical_json([row.label_id for row in rows]))[:14]
    document: Document = {
        "label_set": label_set,
        "labels": len(rows),
        "questions": len({row.question_id for row in rows}),
        "labelers": len({row.labeler_id for row in rows}),
        "batches": sorted({row.batch_id for row in rows}),
        "files": sorted(
            {(entry["accepted_key"], entry["accepted_sha256"]) for entry in committed if entry["accepted"]}
        ),
    }
    store.put_new(f"campaigns/{campaign}/label_sets/{label_set}.json", seal(document))
    return label_set


def read_label_set(store: Store, campaign: str, label_set: str) -> tuple[Mapping[str, Any], list[Label]]:
    """Return a frozen label set: what it says of itself, and its labels in the order of their ids."""
    key = f"campaigns/{campaign}/label_sets/{label_set}.json"
    try:
        document = unseal(store.read(key), f"{key} in {store.uri}")
    except (FileNotFoundError, ValueError) as error:
        raise Refused(f"Campaign {campaign} has no label set {label_set} in {store.uri}.") from error
    named = [{"accepted_key": key, "accepted_sha256": digest, "batch": None} for key, digest in document["files"]]
    rows = sorted(_committed(store, named), key=lambda row: row.label_id)
    return document, [Label(row.batch_id, row.question_id, row.labeler_id, row.best_sample) for row in rows]
