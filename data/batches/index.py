"""The published batches of a campaign and of its human evaluations."""

from typing import Any, Literal, overload

from typing_extensions import TypedDict

from data.batches.schema import read_key
from data.canonical import Document
from data.paths import KEY_FILE, batch_prefix, batches_prefix, comparisons_of
from data.shapes import checked_shape
from data.store import Store, folders
from data.store.manifest import Publication, read_manifest


class BatchFacts(TypedDict, total=False):
    """The facts in the manifest of a batch. Batches of older stores have fewer."""

    batch: str  # its id
    round: int
    questions: int  # number of questions
    samples: int  # number of samples of a question
    vocabulary: str  # vocabulary of the tokens in its key
    campaign: Document  # the settings of its campaign at the export
    seed: int | None  # None if nothing was drawn
    rework_of: str  # the batch whose questions are asked again
    systems: list[str]  # human evaluation: the two systems
    equal: int  # human evaluation: queries with equal responses, which are not asked


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
        return super().__getitem__(name)


def read_batch(store: Store, name: str, batch_id: str) -> Batch | None:
    """Return a batch of a campaign or of its human evaluations, None if it was not published."""
    published = read_manifest(store, batch_prefix(name, batch_id))
    if published is None:
        return None
    checked_shape(published.manifest["facts"], BatchFacts, published.where, complete=False)
    return Batch(published.store, published.prefix, published.manifest)


def batches(store: Store, name: str) -> list[Batch]:
    """Return the published batches of a campaign or of its human evaluations, oldest first."""
    published = filter(None, (read_batch(store, name, batch_id) for batch_id in folders(store, batches_prefix(name))))
    return sorted(published, key=lambda batch: (batch["round"], batch.manifest["ended"], batch["batch"]))


def key_rows(batch: Publication, tokens: bool = True) -> list[dict[str, Any]]:
    """Return all rows of the key of a batch, on request without token ids."""
    return list(read_key(batch.path(KEY_FILE), tokens))


def namespace_of(store: Store, campaign: str, batch_id: str) -> str:
    """Return the namespace of a batch: its campaign, or the human evaluations of its campaign."""
    comparisons = comparisons_of(campaign)
    return comparisons if any(batch["batch"] == batch_id for batch in batches(store, comparisons)) else campaign
