"""Refusals: which files were refused and why, one document a file, named by the SHA-256 of the file.

The inbox and `andon status` read these documents, so a refused file is not read again for ever.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field

from data.batches.key import UNKNOWN, Key
from data.canonical import Document, plain, seal, unseal
from data.ingest.codes import Fault, FileRefused, RefusalCode
from data.ingest.receive import ReceivedFile
from data.ingest.validate import FileResult, file_fault
from data.ingest.vendor_report import report_refusal
from data.labels.findings import OLD_FAULTS
from data.labels.table import deliveries
from data.paths import RECORD_FILE, refusal_key, refusals_prefix
from data.quality.arrays import best_choices, to_arrays
from data.quality.diagnosis import faults_of_the_file
from data.shapes import checked_shape
from data.store import Store
from data.store.base import named, read_all


class Refusal(BaseModel):
    """One refused file."""

    model_config = ConfigDict(frozen=True)

    file: str  # its name, or its key in the inbox
    file_sha256: str
    batch: str  # the batch that it answers, or in whose inbox it is
    code: str = RefusalCode.OTHER.value  # one of RefusalCode, or the code of a finding
    fault: str  # what is wrong, in short
    evidence: str = ""  # by which one sees it
    at: str = Field(default_factory=lambda: datetime.now(UTC).isoformat())

    @property
    def text(self) -> str:
        return f"{self.fault}: {self.evidence}" if self.evidence else self.fault


def refuse_if_wrong(
    received: ReceivedFile, result: FileResult, key: Key, predicted: Mapping[str, int], despite: bool
) -> None:
    """Raise FileRefused, with a report for the vendor, if a file or its answers as a whole look wrong.

    With `despite` a person accepts answers that look wrong; rows that cannot be used are refused all the same.
    """
    fault, fix = file_fault(result, key), "Have it corrected and deliver it again."
    if fault is None and not despite:
        fault = _fault_of_answers(result, key, predicted)
        fix = 'Have the file corrected and deliver it again, or take it with andon ingest --despite "your reason".'
    if fault is None:
        return
    name = received.path.name
    refusal = Refusal(
        file=name,
        file_sha256=received.digest,
        batch=received.batch,
        code=fault.code,
        fault=fault.text,
        evidence=fault.evidence,
    )
    record_refusal(received.store, received.name, refusal)
    report = report_refusal(received, fault, result).address("report.html")
    raise FileRefused(
        fault.code, f"{name}: {refusal.text}. Nothing was taken. The report for the vendor is {report}. {fix}"
    )


def _fault_of_answers(result: FileResult, key: Key, predicted: Mapping[str, int]) -> Fault | None:
    """Return what is wrong with the answers as a whole, which gold questions or the last reward model show."""
    if not len(result.accepted) or not (predicted or (key.gold != UNKNOWN).any()):
        return None
    findings = faults_of_the_file(to_arrays(key, best_choices(result.accepted, key), predicted))
    return Fault(findings[0].code, findings[0].fault, findings[0].evidence) if findings else None


def record_refusal(store: Store, name: str, refusal: Refusal) -> None:
    """Record that a file was refused; if it was refused before, the first record stays."""
    store.put_new(refusal_key(name, refusal.file_sha256), seal(plain(refusal.model_dump(mode="json"))))


def refusals(store: Store, name: str) -> list[Refusal]:
    """Return what was refused, the oldest first, without the files that were accepted later all the same."""
    accepted = {entry["file_sha256"] for entry in deliveries(store, name)}
    keys = named(store, refusals_prefix(name), RECORD_FILE)
    every = [_read(data, f"{key} in {store.uri}") for key, data in zip(keys, read_all(store, keys), strict=True)]
    return sorted((each for each in every if each.file_sha256 not in accepted), key=lambda refusal: refusal.at)


def refused_digests(store: Store, name: str) -> set[str]:
    """Return the SHA-256 of every file that was ever refused."""
    return {key.rsplit("/", 1)[1].removesuffix(".json") for key in named(store, refusals_prefix(name), RECORD_FILE)}


def _read(data: bytes, where: str) -> Refusal:
    document = unseal(data, where)
    checked_shape(document, Refusal, where, _todays_shape)
    return Refusal.model_validate(_todays_shape(document))


def _todays_shape(document: Document) -> Document:
    """Complete a refusal. Older versions wrote no code, and for a file of the inbox a `reason` instead of the fault."""
    fault = document.get("fault") or document["reason"]
    code = document.get("code") or OLD_FAULTS.get(fault, RefusalCode.OTHER)
    return document | {"fault": fault, "code": code, "at": str(document.get("at", ""))}
