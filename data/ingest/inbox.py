"""The inbox: where vendors drop deliveries, and which of them nobody has looked at yet.

A delivery lies at `campaigns/<campaign>/inbox/<batch>/<any name>` and is untrusted: it is copied before it is read and
never changed. Whether it was taken or refused is read off the logs by the hash of its bytes, so one that is still being
copied is looked at again when it is whole, and one that was refused is not looked at for ever.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from data.batches.index import Batch, batches
from data.canonical import seal, sha256_of_file, unseal
from data.errors import Refused
from data.labels.table import deliveries
from data.store import Store


class Delivery(NamedTuple):
    """A file in the inbox."""

    campaign: str
    batch: Batch  # where it lies; what its rows answer is found when it is read
    key: str
    file: Path  # on this machine
    digest: str


def put_in_inbox(store: Store, campaign: str, batch: str, file: Path) -> str:
    """Put a file into a batch's inbox, as a vendor would, and return its key; the same bytes again change nothing."""
    if not file.is_file():
        raise Refused(f"There is no file {file}.")
    known = [published["batch"] for published in batches(store, campaign)]
    if batch not in known:
        raise Refused(f"Campaign {campaign} has no batch {batch} in {store.uri}; it has: {', '.join(known) or 'none'}.")
    key = f"{prefix(campaign)}/{batch}/dropped-{sha256_of_file(file)[:24]}"
    store.put_file(key, file)
    return key


def pending(store: Store, campaign: str) -> Iterator[Delivery]:
    """Yield what lies in the inbox of a campaign's batches and was neither taken nor refused."""
    taken = {entry["file_sha256"] for entry in deliveries(store, campaign)}
    judged = taken | {key.rsplit("/", 1)[1].removesuffix(".json") for key in store.keys(_refusals(campaign))}
    for batch in batches(store, campaign):
        for key in store.keys(f"{prefix(campaign)}/{batch['batch']}"):
            if key.rsplit("/", 1)[1] in judged:  # our own copy of a delivery, named by its hash
                continue
            if (file := _whole_file(store, key)) is not None and (digest := sha256_of_file(file)) not in judged:
                judged.add(digest)
                yield Delivery(campaign, batch, key, file, digest)


def record_refusal(store: Store, delivery: Delivery, reason: str) -> None:
    """Record that a delivery was refused, and why; where that is recorded already, do nothing."""
    document = {
        "file": delivery.key,
        "file_sha256": delivery.digest,
        "batch": delivery.batch["batch"],
        "reason": reason,
        "at": datetime.now(UTC).isoformat(),
    }
    store.put_new(f"{_refusals(delivery.campaign)}/{delivery.digest}.json", seal(document))


def refusals(store: Store, campaign: str) -> list[tuple[str, str]]:
    """Return what was refused and why, as (file, reason), the oldest first; not what was taken later all the same."""
    taken = {entry["file_sha256"] for entry in deliveries(store, campaign)}
    documents = [unseal(store.read(key), f"{key} in {store.uri}") for key in store.keys(_refusals(campaign))]
    return [
        (document["file"], document.get("reason") or f"{document['fault']}: {document['evidence']}")
        for document in sorted(documents, key=lambda document: str(document.get("at", "")))
        if document["file_sha256"] not in taken
    ]


def prefix(campaign: str) -> str:
    return f"campaigns/{campaign}/inbox"


def _refusals(campaign: str) -> str:
    return f"campaigns/{campaign}/quality/refused"


def _whole_file(store: Store, key: str) -> Path | None:
    """Return a plain file of the inbox; None for what could lead elsewhere, or has a name that the store has not."""
    try:
        path = store.local_path(key)
    except (ValueError, FileNotFoundError):
        return None
    return None if path.is_symlink() else path
