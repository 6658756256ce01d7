"""The labels of a campaign: which answers count, in which order they came, and frozen sets of them.

A delivery is copied into the inbox before it is read, then judged, then committed by one numbered log entry; what
counts is what comes out of reading that log. Inside the store a label names a sample, not a shown position.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from data import log
from data.answers import Answer, Asked, Known, Said, judge
from data.assessment import assess
from data.batch import read_key, write_table
from data.campaign import Quality
from data.canonical import Document, canonical_json, seal, sha256, sha256_of_file
from data.decisions import history as decisions
from data.decisions import record, standings
from data.delivery import read_rows
from data.diagnosis import faults_of_the_file
from data.evidence import Row, collect
from data.fields import Ranking
from data.gates import watched_rate
from data.publication import Publication, read_manifest
from data.refused import Refused
from data.statistics import proportion
from data.store import Store, folders
from data.texts import text_measures

Predict = Callable[[Publication], Mapping[str, int]]

LABEL = pa.schema(
    [
        ("label_id", pa.string()),
        ("batch_id", pa.string()),
        ("question_id", pa.string()),
        ("labeler_id", pa.string()),
        ("best_sample", pa.int8()),  # null where a ranking's first group holds several, or there are ratings only
        ("best_shown", pa.int8()),  # the position at which it was shown
        ("ranking", pa.list_(pa.list_(pa.int8()))),  # groups of samples, best first; samples that tie share a group
        ("ratings", pa.string()),  # JSON {axis: [a number from 1 to 7 for each sample]}
        ("source_row", pa.int64()),
        ("seconds", pa.float64()),
        ("confidence", pa.float64()),
        ("note", pa.string()),
        ("critique", pa.string()),  # what is wrong with the samples, in the labeler's words
        ("correction", pa.string()),  # the response that the labeler would have written
        ("flags", pa.list_(pa.string())),
        ("answered_at", pa.string()),
        ("supersedes", pa.string()),  # the label that this one corrects
    ]
)


class Ingested(NamedTuple):
    """What one delivery added, and what is now decided about its batch."""

    batch: str
    accepted: int
    quarantined: int
    duplicates: int
    reasons: dict[str, int]
    decision: str = "accept"
    findings: tuple[Document, ...] = ()
    label_set: str | None = None  # of all that counts, where somebody froze it


def batches(store: Store, campaign: str) -> list[Publication]:
    """Return the published batches of a campaign, oldest round first."""
    prefix = f"campaigns/{campaign}/batches"
    found = [read_manifest(store, f"{prefix}/{batch_id}") for batch_id in folders(store, prefix)]
    published = [batch for batch in found if batch is not None]
    return sorted(published, key=lambda batch: (batch["round"], batch["batch"]))


def asked_in(batch: Publication) -> dict[str, Asked]:
    """Read from a batch's key what was asked, by question."""
    rows = read_key(batch.path("key/samples.parquet"), tokens=False)
    return {row["question_id"]: Asked(row["content_sha256"], tuple(row["shown"])) for row in rows}


def ingest(
    store: Store,
    campaign: str,
    delivery: Path,
    scratch: Path,
    policy: Quality | None = None,
    predict: Predict = lambda batch: {},
    despite: str | None = None,
) -> Ingested:
    """Take a delivered answer file into the labels of a campaign, once; raise Refused where it cannot be trusted.

    `scratch` is an empty folder of the caller's. `predict` tells what the last reward model likes best of each question
    of a batch. A file whose answers as a whole look wrong is refused with a diagnosis, unless a person says `despite`
    which reason it shall be taken.
    """
    policy = policy or Quality()
    if not delivery.is_file():
        raise Refused(f"There is no file {delivery}.")
    arrived = scratch / delivery.name  # a copy of our own: what is judged is what is stored, whatever happens outside
    try:
        shutil.copyfile(delivery, arrived)
    except OSError as error:
        raise Refused(f"{delivery} cannot be read: {error.strerror}.") from error
    digest = sha256_of_file(arrived)
    batch, asked = _batch_of(store, campaign, arrived)
    predicted, key = predict(batch), key_rows(batch, tokens=False)
    prefix = f"campaigns/{campaign}"
    inbox = f"{prefix}/inbox/{batch['batch']}/{digest}"  # a name of ours: theirs may hold anything
    store.put_file(inbox, arrived)
    outcome: dict[str, Document] = {}

    def commit(so_far: list[Document]) -> Document | None:
        earlier = next((entry for entry in so_far if entry["file_sha256"] == digest), None)
        if earlier is not None:
            outcome["entry"] = earlier | {"accepted": 0, "quarantined": 0, "duplicates": earlier["rows"], "reasons": {}}
            return None
        standing = standing_labels(committed(store, so_far, batch["batch"]))
        known = {(row.question_id, row.labeler_id): Known(row.said, row.label_id) for row in standing}
        verdict = judge(arrived, asked, known)
        if despite is None:
            _refuse_faults(store, campaign, key, batch["batch"], digest, delivery.name, verdict.accepted, predicted)
        rows = [
            {"batch_id": batch["batch"], "question_id": a.question_id, "labeler_id": a.labeler_id}
            | {"label_id": label_id(batch["batch"], a), "best_sample": a.best_sample, "best_shown": a.best}
            | {"ranking": a.said.ranking, "ratings": a.said.ratings, "source_row": a.row, **a.optional}
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
            "skipped": verdict.skipped,
            "reasons": dict(reasons),
            "accepted_key": accepted_key,
            "accepted_sha256": accepted_sha256,
            "quarantined_key": quarantine_key,
            "despite": despite,
        }
        return outcome["entry"]

    log.append(store, f"{prefix}/labels/log", commit)
    entry = outcome["entry"]
    assessment = assess_batch(store, campaign, batch["batch"], key, policy, predicted)
    counts = entry["accepted"], entry["quarantined"], entry["duplicates"]
    standing = standings(store, campaign)[batch["batch"]]
    return Ingested(
        entry["batch"],
        *counts,
        entry["reasons"],
        standing.decision,
        tuple(assessment["findings"]),
    )


def label_id(batch: str, answer: Answer) -> str:
    """Name a label by all that it says: a correction is a label of its own."""
    said: list[Any] = [batch, answer.question_id, answer.labeler_id, answer.best_sample]
    if answer.said.ranking or answer.said.ratings:
        said.append([answer.said.ranking, answer.said.ratings])
    superseded = answer.optional.get("supersedes")
    return sha256(canonical_json([*said, superseded] if superseded else said))


def _refuse_faults(
    store: Store,
    campaign: str,
    key: Sequence[Mapping[str, Any]],
    batch: str,
    digest: str,
    name: str,
    accepted: list[Answer],
    predicted: Mapping[str, int],
) -> None:
    """Refuse a file whose answers as a whole look wrong, and keep a report that its vendor can be sent."""
    if not accepted or not (predicted or any(row["gold"] is not None for row in key)):
        return  # nothing that could show it
    rows = [
        Row(a.question_id, a.labeler_id, a.best_sample, a.best, a.optional.get("seconds"))
        for a in accepted
        if a.best_sample is not None and a.best is not None
    ]
    findings = faults_of_the_file(collect(key, rows, predicted))
    if not findings:
        return
    fault = findings[0]
    report = f"campaigns/{campaign}/quality/refused/{digest}.json"
    store.put_new(report, seal({"file": name, "file_sha256": digest, "batch": batch, **fault._asdict()}))
    raise Refused(
        f"{name}: {fault.fault}: {fault.evidence}. Nothing was taken. Have the file corrected and deliver it again, or "
        f'take it with andon ingest --despite "your reason". The report for the vendor is {report} in {store.uri}.'
    )


def key_rows(batch: Publication, tokens: bool = True) -> list[dict[str, Any]]:
    """Read the key of a batch as a whole, without token ids where only people's side of it matters."""
    return list(read_key(batch.path("key/samples.parquet"), tokens))


def assess_batch(
    store: Store,
    campaign: str,
    batch: str,
    key: Sequence[Mapping[str, Any]],
    policy: Quality,
    predicted: Mapping[str, int],
) -> Document:
    """Assess all answers to a batch so far, and record it where it says something new."""
    labels = standing_labels(committed(store, deliveries(store, campaign), batch))
    rows = [
        Row(x.question_id, x.labeler_id, x.best_sample, x.best_shown, x.seconds)
        for x in labels
        if x.best_sample is not None and x.best_shown is not None
    ]
    earlier = {e["batch"]: e for e in decisions(store, campaign) if e["kind"] == "assessment"}
    earlier.pop(batch, None)
    skipped = sum(entry["skipped"] for entry in deliveries(store, campaign) if entry["batch"] == batch)
    ties = sum(label.ranking is not None and len(label.ranking) == 1 for label in labels)
    others = {
        "texts": text_measures(key, rows),
        "drift": watched_rate(key, rows),
        "answered": min(len(key), len({label.question_id for label in labels}) + skipped),
        "undecided": proportion(ties + skipped, len(labels) + skipped)._asdict(),
    }
    assessment = assess(collect(key, rows, predicted), len(key), policy, list(earlier.values()), others)
    return record(store, campaign, batch, assessment)


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


class Committed(NamedTuple):
    """One label as the store has it: answers name samples, not positions."""

    label_id: str
    batch_id: str
    question_id: str
    labeler_id: str
    best_sample: int | None
    best_shown: int | None
    seconds: float | None
    supersedes: str | None
    ranking: Ranking | None = None
    ratings: str | None = None  # JSON, {axis: [a number a sample]}
    critique: str | None = None
    correction: str | None = None

    @property
    def said(self) -> Said:
        """What was answered: what makes two answers the same."""
        return Said(self.best_sample, self.ranking, self.ratings)


def committed(store: Store, entries: list[Document], batch: str | None = None) -> Iterator[Committed]:
    """Yield the labels of the log's entries, each file checked against the hash in its entry."""
    for entry in entries:
        if batch is not None and entry["batch"] != batch:
            continue
        path = store.local_path(entry["accepted_key"])
        if sha256_of_file(path) != entry["accepted_sha256"]:
            raise Refused(f"{entry['accepted_key']} in {store.uri} is damaged: restore it from a backup.")
        table = pq.read_table(path)
        columns = {name: [None] * len(table) for name in Committed._fields}  # files of older stores have fewer
        columns |= table.select([name for name in columns if name in table.column_names]).to_pydict()
        columns["ranking"] = [groups and tuple(map(tuple, groups)) for groups in columns["ranking"]]
        yield from map(Committed, *(columns[name] for name in Committed._fields))


def standing_labels(labels: Iterable[Committed]) -> list[Committed]:
    """Leave out the labels that a later one corrects."""
    all_of_them = list(labels)
    corrected = {label.supersedes for label in all_of_them}
    return [label for label in all_of_them if label.label_id not in corrected]


def deliveries(store: Store, campaign: str) -> list[Document]:
    """Return the log of what was ingested."""
    return log.entries(store, f"campaigns/{campaign}/labels/log")
