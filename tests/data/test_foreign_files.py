"""Files that Andon did not write: every reader of the store passes over them, and none of them stops or hangs it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from data.batches.index import batches
from data.canonical import seal, sha256, unseal
from data.cord.cord import open_pulls, pull
from data.errors import Refused, Unavailable
from data.ingest.inbox import pending, put_in_inbox
from data.ingest.refusal import refusals, refused_digests
from data.labels.label_sets import freeze
from data.labels.table import deliveries
from data.page.accounts import accounts, add
from data.page.live import LiveSample, latest_live, publish_live
from data.rounds.lineage import lineage
from data.runs import leases
from data.runs.registry import runs
from data.store import LocalStore, Store, log
from data.store.foreign import foreign
from data.store.manifest import read_manifest
from tests.support.vendor import Round

LITTER = ("Thumbs.db", "desktop.ini", "README", "README.md", ".DS_Store", "0000000001.json~", "copy of 0000000001.json")


def everything(store: Store) -> list[object]:
    """Return what every reader of a store says of it."""
    live = latest_live(store)
    return [
        [(batch["batch"], batch.manifest) for batch in batches(store, "c")],
        deliveries(store, "c"),
        [delivery.key for delivery in pending(store, "c") if "README" not in delivery.key],  # which a vendor may send
        refusals(store, "c"),
        refused_digests(store, "c"),
        sorted(lineage(store, "c")),
        runs(store, "c"),
        accounts(store),
        open_pulls(store),
        leases.holder(store, "c"),
        live,
    ]


def strew(root: Path, leave: Callable[[Path], object]) -> None:
    """Leave something in every folder of a store."""
    for folder in [path for path in root.rglob("*") if path.is_dir() and ".tmp" not in path.parts]:
        leave(folder)


def lived_in(sent: Round) -> LocalStore:
    """Return a store with something in every one of its rooms."""
    sent.deliver(sent.answers())
    freeze(sent.store, "c")
    file = sent.folder / "refused.csv"
    file.write_text("nonsense\n")
    with pytest.raises(Refused):
        sent.deliver([row | {"best": 9} for row in sent.answers()])
    put_in_inbox(sent.store, "c", batches(sent.store, "c")[0]["batch"], file)
    add(sent.store, "ada")
    pull(sent.store, "a test", by="ann")
    leases.renew(sent.store, leases.acquire(sent.store, "c", "ann"))
    publish_live(sent.store, "c", "run-1", 3, [LiveSample("q", "a", "b", 1.0)], {"kl": 1.0})
    return sent.store


@pytest.mark.slow
def test_what_others_leave_in_any_folder_changes_nothing(sent: Round) -> None:
    store = lived_in(sent)
    before = everything(store)
    assert foreign(store) == ([], []), "it knows all names of Andon's"
    strew(store.root, lambda folder: [(folder / name).write_bytes(b"\x00 litter") for name in LITTER])
    (store.root / "Thumbs.db").write_bytes(b"litter")
    strew(store.root, lambda folder: (folder / "9999999999.json").mkdir())
    strew(store.root, lambda folder: os.mkfifo(folder / "0000000000000000.json"))
    after = everything(store)
    strange = foreign(store)
    assert {Path(name).name for name in strange.passed_over} == {*LITTER, "0000000000000000.json"}
    assert "Thumbs.db" in strange.passed_over
    assert {Path(name).parent.name for name in strange.in_the_way} == {"log"}
    assert after == before
    assert pull(store, "it still works", by="ann") in open_pulls(store)


def test_pipes_and_folders_in_place_of_an_entry_are_no_entries_and_hang_nobody(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    log.append(store, "cord/log", lambda _: {"n": 1})
    os.mkfifo(store.root / "cord/log/0000000002.json")
    assert len(log.entries(store, "cord/log")) == 1
    with pytest.raises(FileNotFoundError):
        store.read("cord/log/0000000002.json")
    with pytest.raises(Unavailable, match="taken by something that is not a file"):
        log.append(store, "cord/log", lambda _: {"n": 2})
    (store.root / "cord/log/0000000002.json").unlink()
    (store.root / "cord/log/0000000002.json").mkdir()
    with pytest.raises(Unavailable, match="taken by something that is not a file"):
        log.append(store, "cord/log", lambda _: {"n": 2})
    (store.root / "cord/log/loop").symlink_to("loop")
    assert len(log.entries(store, "cord/log")) == 1


def test_litter_hides_no_hole(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    for _ in range(3):
        log.append(store, "log", lambda _: {})
    (store.root / "log/0000000002.json").rename(store.root / "log/0000000002.json.bak")
    with pytest.raises(Refused, match="no entry 2"):
        log.entries(store, "log")


ODD = (
    b"",
    b"null",
    b"[]",
    b'["sha256"]',
    b'"sha256"',
    b"3",
    b'{"sha256":',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"a":NaN,"sha256":""}',
    b'{"a":"\\ud800","sha256":"x"}',
    b'{"a":' + b"9" * 5_000 + b',"sha256":""}',
    b"\xff\xfe",
)


@pytest.mark.parametrize("content", ODD, ids=range(len(ODD)))
def test_whatever_a_document_holds_it_is_refused_in_one_line_with_its_place(tmp_path: Path, content: bytes) -> None:
    store = LocalStore(tmp_path / "store")
    store.put_new("cord/log/0000000001.json", content)
    store.put_new("campaigns/c/runs/r/manifest.json", content)
    for place, read in (
        ("cord/log/0000000001.json in", lambda: open_pulls(store)),
        ("campaigns/c/runs/r/manifest.json in", lambda: runs(store, "c")),
    ):
        with pytest.raises(Refused, match=f"^{place} .* is damaged") as refused:
            read()
        assert "\n" not in str(refused.value)


def test_a_field_that_is_missing_is_named_with_the_place(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    store.put_new("cord/log/0000000001.json", seal({"kind": "pull", "pull": "pull-1"}))
    with pytest.raises(Refused, match=r"cord/log/0000000001.json in .* has no field pull.scope"):
        open_pulls(store)
    nested = unseal(seal({"facts": {"run": "r"}}), "here")
    with pytest.raises(Refused, match="^here has no field 'round'"):
        nested["facts"]["round"]
    whole = {
        **{"manifest_version": 1, "kind": "run", "files": {}, "inputs": {}, "facts": {}},
        **{"began": "2026-01-01", "ended": "2026-01-02", "packages": {}},
    }
    file = {"key": "k", "sha256": sha256(b"")}
    for number, (field, value) in enumerate(
        [(name, None) for name in whole] + [("facts", []), ("files", {"a": {}}), ("files", {"a": file | {"key": 3}})]
    ):
        changed = {name: each for name, each in (whole | {field: value}).items() if each is not None}
        store.put_new(f"campaigns/c/runs/r{number}/manifest.json", seal(changed))
        with pytest.raises(Refused, match=f"campaigns/c/runs/r{number}/manifest.json in .*{field}"):
            read_manifest(store, f"campaigns/c/runs/r{number}")
