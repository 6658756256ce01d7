"""A stored document without a field, or with another type in it, is refused in one line that names the field."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from data.batches.index import batches
from data.campaign import Campaign, load_campaign
from data.canonical import seal
from data.cord.cord import pull, pulls
from data.errors import Refused
from data.evaluation.facts import evaluation_facts
from data.labels.decisions import decision_log
from data.labels.label_sets import label_set_document
from data.labels.table import deliveries
from data.page.accounts import accounts, add
from data.runs.champion import promotion_log
from data.runs.leases import holder
from data.runs.registry import runs
from data.shapes import checked_settings
from data.store import LocalStore
from data.store.manifest import read_manifest
from tests.support.old_store import CAMPAIGN, unpacked


def evaluations(store: LocalStore) -> None:
    for run in runs(store, CAMPAIGN):
        published = read_manifest(store, run.manifest["inputs"]["evaluation"])
        assert published is not None
        evaluation_facts(published)


READERS: dict[str, Callable[[LocalStore], object]] = {
    "cord/log/0000000001.json": pulls,
    "labelers/log/0000000001.json": accounts,
    "leases/log/0000000001.json": lambda store: holder(store, CAMPAIGN),
    f"campaigns/{CAMPAIGN}/labels/log/0000000001.json": lambda store: deliveries(store, CAMPAIGN),
    f"campaigns/{CAMPAIGN}/quality/log/0000000001.json": lambda store: decision_log(store, CAMPAIGN),
    f"campaigns/{CAMPAIGN}/promotions/log/0000000001.json": lambda store: promotion_log(store, CAMPAIGN),
    f"campaigns/{CAMPAIGN}/label_sets/*.json": lambda store: [
        label_set_document(store, CAMPAIGN, run.facts["label_set"]) for run in runs(store, CAMPAIGN)
    ],
    f"campaigns/{CAMPAIGN}/batches/*/manifest.json": lambda store: batches(store, CAMPAIGN),
    f"campaigns/{CAMPAIGN}/runs/*/manifest.json": lambda store: runs(store, CAMPAIGN),
    f"campaigns/{CAMPAIGN}/runs/*/evaluations/*/manifest.json": evaluations,
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    made = LocalStore(unpacked(tmp_path, monkeypatch))
    add(made, "ada")
    pull(made, "it praises murder", by="ada")
    return made


@pytest.mark.parametrize("place", READERS)
def test_a_field_of_another_type_is_refused_or_not_needed(store: LocalStore, place: str) -> None:
    path = sorted(store.root.glob(place))[0]
    content = path.read_bytes()
    document = json.loads(content)
    del document["sha256"]
    READERS[place](store)
    refused = set()
    for name, value in document.items():
        path.unlink()
        path.write_bytes(seal(document | {name: True if isinstance(value, list | dict) else {"a": [value]}}))
        try:
            READERS[place](store)
        except Refused as refusal:
            refused.add(name)
            assert str(path.relative_to(store.root)) in str(refusal) and "\n" not in str(refusal)
    assert len(refused) >= len(document) / 2, "most fields have one type"
    path.unlink()
    path.write_bytes(content)
    READERS[place](store)


TIMES = {
    "cord/log/0000000001.json": "pulled_at",
    "labelers/log/0000000001.json": "expires",
    "leases/log/0000000001.json": "at",
    f"campaigns/{CAMPAIGN}/labels/log/0000000001.json": "at",
    f"campaigns/{CAMPAIGN}/quality/log/0000000001.json": "at",
    f"campaigns/{CAMPAIGN}/promotions/log/0000000001.json": "at",
    f"campaigns/{CAMPAIGN}/batches/*/manifest.json": "began",
    f"campaigns/{CAMPAIGN}/runs/*/manifest.json": "ended",
}


@pytest.mark.parametrize("place", TIMES)
def test_a_text_that_is_no_time_is_refused(store: LocalStore, place: str) -> None:
    path = sorted(store.root.glob(place))[0]
    document = json.loads(path.read_bytes())
    del document["sha256"]
    path.unlink()
    path.write_bytes(seal(document | {TIMES[place]: "2026-13-45T99:00:00"}))
    with pytest.raises(Refused, match=TIMES[place]):
        READERS[place](store)


@pytest.mark.parametrize(("place", "value"), [("labelers", 2**63), ("text", None), ("promotion", "yes")])
def test_stored_settings_that_are_none_are_refused_in_one_line(place: str, value: object) -> None:
    document = load_campaign("sentiment").model_dump(mode="json") | {place: value}
    with pytest.raises(Refused, match=rf"^The campaign of run-1 cannot be read: its field {place}.*backup\.$"):
        checked_settings(document, Campaign, "The campaign of run-1")
