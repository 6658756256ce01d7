"""The published batches of a campaign, and the name under which each is kept.

What counts of the answers to them comes out of reading the log of deliveries, to which data/ingest/pipeline.py appends.
"""

from typing import Any, Literal, overload

from typing_extensions import TypedDict

from data.batches.schema import read_key
from data.canonical import Document
from data.paths import KEY_FILE, batch_prefix, batches_prefix, comparisons_of
from data.shapes import checked_shape
from data.store import Store, folders
from data.store.manifest import Publication, read_manifest


class BatchFacts(TypedDict, total=False):
    """What the manifest of a batch says of it; batches of older stores say less."""

    batch: str  # its id
    round: int
    questions: int  # how many
    samples: int  # of each question
    vocabulary: str  # of the tokens in its key
    campaign: Document  # the settings that it was asked with
    seed: int | None  # None if nothing was drawn
    rework_of: str  # the batch that is asked again
    systems: list[str]  # of a comparison: the two that are compared
    equal: int  # of a comparison: queries that both answered with the same words, which nobody is asked about


class Batch(Publication):
    """A published batch: questions for labelers, and their key."""

    @property
    def facts(self) -> BatchFacts:
        facts: BatchFacts = self.manifest["facts"]
        return facts

    @overload  # type: ignore[override]  # a batch has fewer facts than any publication may have
    def __getitem__(self, name: Literal["batch", "vocabulary", "rework_of"]) -> str: ...
    @overload
    def __getitem__(self, name: Literal["round", "questions", "samples", "equal"]) -> int: ...
    @overload
    def __getitem__(self, name: Literal["systems"]) -> list[str]: ...
    @overload
    def __getitem__(self, name: Literal["campaign"]) -> Document: ...
    @overload
    def __getitem__(self, name: Literal["seed"]) -> int | None: ...
    def __getitem__(self, name: str) -> Any:
        return self.manifest["facts"][name]


def read_batch(store: Store, name: str, batch_id: str) -> Batch | None:
    """Return a batch of a campaign or of its comparisons, None if it was not published."""
    published = read_manifest(store, batch_prefix(name, batch_id))
    if published is None:
        return None
    checked_shape(published.manifest["facts"], BatchFacts, published.where, complete=False)
    return Batch(published.store, published.prefix, published.manifest)


def batches(store: Store, name: str) -> list[Batch]:
    """Return the published batches of a campaign or of its comparisons, oldest first."""
    found = [read_batch(store, name, batch_id) for batch_id in folders(store, batches_prefix(name))]
    published = [batch for batch in found if batch is not None]
    return sorted(published, key=lambda batch: (batch["round"], batch.manifest["ended"], batch["batch"]))


def key_rows(batch: Publication, tokens: bool = True) -> list[dict[str, Any]]:
    """Read the key of a batch as a whole, without token ids if only people's side of it matters."""
    return list(read_key(batch.path(KEY_FILE), tokens))


def namespace_of(store: Store, campaign: str, batch_id: str) -> str:
    """Return the name under which a batch is kept: its campaign's, or that of the campaign's comparisons."""
    comparisons = comparisons_of(campaign)
    return comparisons if any(batch["batch"] == batch_id for batch in batches(store, comparisons)) else campaign
