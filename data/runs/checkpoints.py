"""States of a training on its way, kept in the store: the last two, since the last may have been damaged.

Where the store does not take one, it is kept on this machine, and found again when the training goes on here.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from data.errors import LeaseLost, Refused, Unavailable
from data.paths import CHECKPOINT
from data.store import LocalStore, Store, folders
from data.store.manifest import Publication, publish, read_manifest
from data.store.user_state import local_state, spool_name

KEPT = 2


class Checkpoints:
    """The checkpoints of one training, one every `every` steps, below `prefix`."""

    def __init__(self, store: Store, prefix: str, every: int) -> None:
        self.store = store
        self.aside = LocalStore(local_state().root / "checkpoints" / spool_name(store))
        self.prefix = f"{prefix}/checkpoints"
        self.every = every

    def due(self, step: int) -> bool:
        return step % self.every == 0

    def latest(self) -> tuple[int, Publication] | None:
        """Return the newest whole checkpoint and its step; a damaged one is passed over."""
        places = [(name, store) for store in (self.store, self.aside) for name in self._names(store)]
        for name, store in sorted(places, key=lambda place: place[0], reverse=True):
            try:
                published = read_manifest(store, f"{self.prefix}/{name}")
                if published is not None:
                    published.folder()
                    return int(name), published
            except Unavailable:
                raise
            except Refused:
                continue
        return None

    def newest(self) -> int:
        """Return the step of the newest checkpoint, 0 where there is none."""
        return max((int(name) for store in (self.store, self.aside) for name in self._names(store)), default=0)

    def save(self, step: int, files: Mapping[str, Path | bytes]) -> None:
        """Publish a checkpoint, then drop all but the last two."""
        try:
            self._save(self.store, step, files)
        except LeaseLost:
            raise
        except Exception:  # whatever keeps the store from taking it, hours of training are in here
            self._save(self.aside, step, files)

    def _save(self, store: Store, step: int, files: Mapping[str, Path | bytes]) -> None:
        prefix, began = f"{self.prefix}/{step:08d}", datetime.now(UTC)
        publish(store, prefix, "checkpoint", files, inputs={}, facts={"step": step}, began=began)
        for name in self._names(store)[:-KEPT]:
            self._drop(store, name)

    def clear(self) -> None:
        """Drop all checkpoints: what they led to is published."""
        for store in (self.store, self.aside):
            for name in self._names(store):
                self._drop(store, name)

    def _names(self, store: Store) -> list[str]:
        """List the folders of checkpoints, oldest first."""
        return [name for name in folders(store, self.prefix) if CHECKPOINT.fullmatch(name)]

    def _drop(self, store: Store, name: str) -> None:
        # Without its manifest it is no checkpoint any more, so half of a drop does no harm.
        manifest = f"{self.prefix}/{name}/manifest.json"
        keys = store.keys(f"{self.prefix}/{name}")
        for key in sorted(keys, key=lambda key: key != manifest):
            store.drop(key)
