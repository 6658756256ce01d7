"""The inbox: the folder into which vendors put answer files, and which of these files are still to be ingested.

A file is at `campaigns/<campaign>/inbox/<batch>/<any name>` and is untrusted: it is copied before it is read, and never
changed. The logs say by the hash of its bytes whether it was accepted or refused. So a file that is still being copied
is read again when it is whole, and a refused file is not read again for ever.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from data.batches.index import Batch, batches
from data.canonical import sha256_of_file
from data.errors import Refused
from data.ingest.codes import FileRefused, RefusalCode
from data.ingest.refusal import Refusal, record_refusal, refused_digests
from data.labels.table import deliveries
from data.paths import inbox_prefix
from data.store import LocalStore, Store
from data.store.base import LITTER


class Delivery(NamedTuple):
    """A file in the inbox."""

    name: str  # of the campaign, or of its comparisons (data/paths.py)
    batch: Batch  # in whose inbox it is; which batch its rows answer is found when it is read
    key: str
    file: Path  # on this machine
    digest: str  # SHA-256


def put_in_inbox(store: Store, name: str, batch_id: str, file: Path) -> str:
    """Put a file into a batch's inbox, as a vendor would, and return its key; the same bytes again change nothing."""
    if not file.is_file():
        raise Refused(f"There is no file {file}.")
    ids = [batch["batch"] for batch in batches(store, name)]
    if batch_id not in ids:
        raise Refused(f"Campaign {name} has no batch {batch_id} in {store.uri}; it has: {', '.join(ids) or 'none'}.")
    key = f"{inbox_prefix(name, batch_id)}/dropped-{sha256_of_file(file)[:24]}"
    store.put_file(key, file)
    return key


def pending(store: Store, name: str) -> Iterator[Delivery]:
    """Yield the files in the inbox of a campaign's batches that were neither accepted nor refused."""
    judged = {entry["file_sha256"] for entry in deliveries(store, name)} | refused_digests(store, name)
    for batch in batches(store, name):
        for key in store.keys(inbox_prefix(name, batch["batch"])):
            if key.rsplit("/", 1)[1] in judged:  # our own copy of a delivery, named by its hash
                continue
            if (file := _plain_file(store, key)) is not None and (digest := sha256_of_file(file)) not in judged:
                judged.add(digest)
                yield Delivery(name, batch, key, file, digest)


def refuse_delivery(store: Store, delivery: Delivery, error: Refused) -> None:
    """Record that a delivery was refused; if ingest itself has recorded it, that record stays."""
    code = error.code if isinstance(error, FileRefused) else RefusalCode.OTHER
    refusal = Refusal(
        file=delivery.key,
        file_sha256=delivery.digest,
        batch=delivery.batch["batch"],
        code=code,
        fault=str(error),
    )
    record_refusal(store, delivery.name, refusal)


def _plain_file(store: Store, key: str) -> Path | None:
    """Return a plain file of the inbox; None for one that leads elsewhere, or whose name the store cannot have."""
    if key.rsplit("/", 1)[1].lower() in LITTER:
        return None
    try:
        path = store.local_path(key)
    except (ValueError, FileNotFoundError):
        return None
    if isinstance(store, LocalStore) and (path.stat().st_nlink > 1 or path.resolve() != store.root.resolve() / key):
        return None
    return path
