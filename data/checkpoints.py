"""States of a training on its way, kept in the store: the last two, since the last may have been damaged."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from data.publication import Publication, publish, read_manifest
from data.refused import Refused
from data.store import Store, folders

KEPT = 2


class Checkpoints:
    """The checkpoints of one training, one every `every` steps, below `prefix`."""

    def __init__(self, store: Store, prefix: str, every: int) -> None:
        self.store = store
        self.prefix = f"{prefix}/checkpoints"
        self.every = every

    def due(self, step: int) -> bool:
        return step % self.every == 0

    def latest(self) -> tuple[int, Publication] | None:
        """Return the newest whole checkpoint and its step; a damaged one is passed over."""
        for name in sorted(folders(self.store, self.prefix), reverse=True):
            try:
                published = read_manifest(self.store, f"{self.prefix}/{name}")
                if published is not None:
                    published.folder()
                    return int(name), published
            except Refused:
                continue
        return None

    def save(self, step: int, files: Mapping[str, Path | bytes]) -> None:
        """Publish a checkpoint, then drop all but the last two."""
        publish(
            self.store,
            f"{self.prefix}/{step:08d}",
            "checkpoint",
            files,
            inputs={},
            facts={"step": step},
            began=datetime.now(UTC),
        )
        for name in sorted(folders(self.store, self.prefix))[:-KEPT]:
            self._drop(name)

    def clear(self) -> None:
        """Drop all checkpoints: what they led to is published."""
        for name in sorted(folders(self.store, self.prefix)):
            self._drop(name)

    def _drop(self, name: str) -> None:
        # Without its manifest it is no checkpoint any more, so half of a drop does no harm.
        manifest = f"{self.prefix}/{name}/manifest.json"
        keys = self.store.keys(f"{self.prefix}/{name}")
        for key in sorted(keys, key=lambda key: key != manifest):
            self.store.drop(key)
