"""What an entry of the log of deliveries says: one numbered entry an ingested file (data/labels/table.py reads it)."""

from typing import NotRequired

from typing_extensions import TypedDict


class LabelFile(TypedDict):
    """A file of accepted labels (LABEL), and the batch that they answer."""

    batch: str
    accepted_key: str
    accepted_sha256: str


class StoredResult(TypedDict):
    """What became of the rows of a file: counts, and where the labels and the other rows are stored."""

    rows: int  # accepted + quarantined + duplicates + skipped
    accepted: int
    corrections: NotRequired[int]  # accepted ones that correct an earlier label; older entries do not say how many
    quarantined: int
    duplicates: int
    skipped: int  # questions that a labeler would not answer
    skipped_key: NotRequired[str]  # who would not answer what (SKIPPED); older entries do not say who
    skipped_sha256: NotRequired[str]
    reasons: dict[str, int]  # how often each reason for the quarantine was given
    accepted_key: str
    accepted_sha256: str
    quarantined_key: str


class NewEntry(StoredResult, LabelFile):
    """What ingest appends to the log."""

    kind: str
    file: str  # our copy of the file
    file_name: NotRequired[str]  # as the vendor named it
    file_sha256: str
    ignored_columns: NotRequired[list[str]]  # columns that are not part of the contract
    despite: NotRequired[str | None]  # a person's reason to accept answers that looked wrong


class DeliveryEntry(NewEntry):
    """An entry of the log, which gives it a number and a time."""

    number: int
    at: str
