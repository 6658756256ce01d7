"""A store that commit f4abd29 wrote, unpacked for a test; tests/fixtures/README.md says what it holds."""

import tarfile
from pathlib import Path

import pytest

ARCHIVE = Path(__file__).resolve().parents[1] / "fixtures" / "store-f4abd29.tar.xz"
CAMPAIGN = "sentiment"


def unpacked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Unpack the store, its base and its campaign into a folder, make it the current one, and return the store."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    monkeypatch.chdir(folder)  # the campaign names its base by a relative path
    return folder / "store"
