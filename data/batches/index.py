"""The labels of a campaign: which batches were sent, and what was delivered for them, in the order in which it came.

What counts is what comes out of reading the log of deliveries, to which data/ingest/pipeline.py appends. Inside the
store a label names a sample, not a shown position.
"""

from typing import Any

from data.batches.schema import read_key
from data.paths import KEY_FILE, batches_prefix, comparisons_of
from data.store import Store, folders
from data.store.manifest import Publication, read_manifest


def batches(store: Store, campaign: str) -> list[Publication]:
    """Return the published batches of a campaign, oldest first."""
    prefix = batches_prefix(campaign)
    found = [read_manifest(store, f"{prefix}/{batch_id}") for batch_id in folders(store, prefix)]
    published = [batch for batch in found if batch is not None]
    return sorted(published, key=lambda batch: (batch["round"], batch.manifest["ended"], batch["batch"]))


def key_rows(batch: Publication, tokens: bool = True) -> list[dict[str, Any]]:
    """Read the key of a batch as a whole, without token ids where only people's side of it matters."""
    return list(read_key(batch.path(KEY_FILE), tokens))


def namespace_of(store: Store, campaign: str, batch: str) -> str:
    """Return the name under which a batch is kept: its campaign's, or that of the campaign's comparisons."""
    namespace = comparisons_of(campaign)
    return namespace if any(each["batch"] == batch for each in batches(store, namespace)) else campaign
