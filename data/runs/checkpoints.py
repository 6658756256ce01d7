"""Checkpoints of a training in the store. The last two are kept, because the last one may be damaged.

If the store cannot be written, the checkpoint is saved on this machine, and a training that continues here finds it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

from data.errors import LeaseLost, Refused, Unavailable
from data.paths import CHECKPOINT
from data.store import LocalStore, Store, folders
from data.store.manifest import Publication, publish, read_manifest
from data.store.user_state import local_state, spool_name

KEPT = 2


class CheckpointFacts(TypedDict):
    """The facts in the manifest of a checkpoint."""

    step: int


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
        """Return the newest complete checkpoint and its step; None without one. A damaged checkpoint is left out."""
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
        """Return the step of the newest checkpoint, 0 if there is none."""
        return max((int(name) for store in (self.store, self.aside) for name in self._names(store)), default=0)

    def save(self, step: int, files: Mapping[str, Path | bytes]) -> None:
        """Publish a checkpoint, and remove all but the last two."""
        try:
            self._save(self.store, step, files)
        except LeaseLost:
            raise
        except Exception:  # whatever the fault of the store is, hours of training must not be lost
            self._save(self.aside, step, files)

    def _save(self, store: Store, step: int, files: Mapping[str, Path | bytes]) -> None:
        prefix, began = f"{self.prefix}/{step:08d}", datetime.now(UTC)
        facts = CheckpointFacts(step=step)
        publish(store, prefix, "checkpoint", files, inputs={}, facts={**facts}, began=began)
        for name in self._names(store)[:-KEPT]:
            self._drop(store, name)

    def clear(self) -> None:
        """Remove all checkpoints, after the result of the training is published."""
        for store in (self.store, self.aside):
            for name in self._names(store):
                self._drop(store, name)

    def _names(self, store: Store) -> list[str]:
        """List the folders of checkpoints, oldest first."""
        return [name for name in folders(store, self.prefix) if CHECKPOINT.fullmatch(name)]

    def _drop(self, store: Store, name: str) -> None:
        # The manifest goes first. Without it the rest is no checkpoint, so an interrupted removal does no harm.
        manifest = f"{self.prefix}/{name}/manifest.json"
        keys = store.keys(f"{self.prefix}/{name}")
        for key in sorted(keys, key=lambda key: key != manifest):
            store.drop(key)
