"""Publishing: all or nothing, once, and checked on every read."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from data.errors import Refused
from data.store import LocalStore
from data.store.manifest import Publication, publish, read_manifest

NOW = datetime.now(UTC)


def _publish(store: LocalStore, content: bytes) -> Publication:
    files: dict[str, Path | bytes] = {"model.bin": content, "key/secret.bin": b"s"}
    return publish(store, "runs/r1", "run", files, inputs={"from": "x"}, facts={"loss": 1.5}, began=NOW)


def test_a_step_is_done_when_its_manifest_exists(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    assert read_manifest(store, "runs/r1") is None
    published = _publish(store, b"weights")
    assert published["loss"] == 1.5
    assert published.path("model.bin").read_bytes() == b"weights"
    assert {path.name for path in published.folder().iterdir()} == {"model.bin", "key"}
    again = read_manifest(store, "runs/r1")
    assert again is not None and again.manifest == published.manifest


def test_the_first_of_two_attempts_counts(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    first, second = _publish(store, b"first"), _publish(store, b"second")
    assert second.manifest == first.manifest
    assert second.path("model.bin").read_bytes() == b"first"


def test_files_of_an_attempt_that_died_do_not_disturb_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(tmp_path)
    put_new = store.put_new

    def die_at_the_manifest(key: str, data: bytes) -> bool:
        if key.endswith("manifest.json"):
            raise KeyboardInterrupt
        return put_new(key, data)

    monkeypatch.setattr(store, "put_new", die_at_the_manifest)
    with pytest.raises(KeyboardInterrupt):
        _publish(store, b"half-way")
    assert read_manifest(store, "runs/r1") is None
    monkeypatch.undo()
    assert _publish(store, b"whole").path("model.bin").read_bytes() == b"whole"


def test_one_flipped_bit_in_a_file_is_found_on_reading(tmp_path: Path) -> None:
    published = _publish(LocalStore(tmp_path), b"weights")
    path = published.path("model.bin")
    path.write_bytes(b"weighus")
    with pytest.raises(Refused, match="damaged"):
        published.path("model.bin")
    path.unlink()
    with pytest.raises(Refused, match="missing"):
        published.folder()
