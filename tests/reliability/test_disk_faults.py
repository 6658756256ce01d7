"""Disks that are full, that fail, and that forget single bits."""

from pathlib import Path

import pytest

from data.errors import Refused
from data.labels.label_sets import freeze, labeled_rows
from data.labels.table import deliveries
from data.store import LocalStore, Store
from data.store.integrity import verify
from tests.reliability.disk_faults import every_call
from tests.support.scenario import material, on_machine, visible, work


@pytest.mark.reliability
def test_a_disk_that_fails_at_any_call_leaves_nothing_half_done_and_the_work_goes_on_later() -> None:
    outcome = every_call(every=61)
    assert outcome.violations == {}
    assert outcome.faults > 15 and outcome.refused > 8


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A store in which everything happened once."""
    opened = LocalStore(tmp_path / "store")
    with on_machine(tmp_path / "state", 0):
        work(opened, material(tmp_path))
    return opened


def read_all(store: Store) -> object:
    """Read what readers read, down to the rows that trainings get."""
    sets = [key.rsplit("/", 1)[1].removesuffix(".json") for key in store.keys("campaigns/c/label_sets")]
    rows = [labeled_rows(store, "c", name) for name in sets]
    return visible(store), rows, freeze(store, "c"), [entry["reasons"] for entry in deliveries(store, "c")]


def test_one_flipped_bit_in_any_object_is_named_and_no_reader_returns_other_data(
    store: LocalStore, tmp_path: Path
) -> None:
    assert verify(store).damaged == [] and verify(store).unchecked == []
    with on_machine(tmp_path / "state", 0):
        whole, refusals = read_all(store), 0
        keys = [key for folder in ("campaigns", "cord", "leases") for key in store.keys(folder)]
        keys = [key for key in keys if store.read(key)]  # where nothing was quarantined, the file of it is empty
        assert len(keys) > 20
        for number, key in enumerate(keys):
            path = store.root / key
            content = path.read_bytes()
            at = (number * 7919) % len(content)
            path.write_bytes(content[:at] + bytes([content[at] ^ 1 << number % 8]) + content[at + 1 :])
            assert any(key in line for line in verify(store).damaged), key
            try:
                assert read_all(store) == whole, f"a reader returned other data with one bit of {key} flipped"
            except Refused as refusal:
                assert "damaged" in str(refusal)
                refusals += 1
            path.write_bytes(content)
        assert refusals > 15
        assert read_all(store) == whole


def test_a_lost_file_is_named(store: LocalStore) -> None:
    (lost,) = [key for key in store.keys("campaigns") if key.endswith("report.html")]
    (store.root / lost).unlink()
    assert [f"{lost} is missing" in line for line in verify(store).damaged] == [True]
