"""The entries of the log of deliveries, one for each ingested file. data/labels/table.py reads them."""

from typing import NotRequired

from typing_extensions import TypedDict

from data.shapes import Time


class LabelFile(TypedDict):
    """A file of accepted labels (LABEL), and the batch that they answer."""

    batch: str
    accepted_key: str
    accepted_sha256: str


class StoredResult(TypedDict):
    """The result of validating a file: counts, and the keys of the stored labels and other rows."""

    rows: int  # accepted + quarantined + duplicates + skipped
    accepted: int
    corrections: NotRequired[int]  # accepted rows that correct an earlier label; missing in older entries
    quarantined: int
    duplicates: int
    skipped: int  # rows in which a labeler skips a question
    skipped_key: NotRequired[str]  # file of the skips (SKIPPED); missing in older entries
    skipped_sha256: NotRequired[str]
    reasons: dict[str, int]  # number of quarantined rows by reason
    accepted_key: str
    accepted_sha256: str
    quarantined_key: str


class NewEntry(StoredResult, LabelFile):
    """An entry as ingest appends it to the log."""

    kind: str
    file: str  # key of the copy in the store
    file_name: NotRequired[str]  # name that the vendor gave it
    file_sha256: str
    ignored_columns: NotRequired[list[str]]  # columns that are not part of the contract
    despite: NotRequired[str | None]  # a person's reason to accept answers that looked wrong


class DeliveryEntry(NewEntry):
    """An entry in the log, with its number and time."""

    number: int
    at: Time
