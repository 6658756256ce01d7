"""The store's contract: one suite for every backend, S3 on a real server."""

import multiprocessing
from pathlib import Path

import pytest

from data.canonical import Document, seal, unseal
from data.errors import Refused
from data.store import LocalStore, Store, folders, log, open_store
from data.store.base import check_key
from data.store.foreign import foreign
from data.store.s3 import S3Store


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store") if request.param == "local" else request.getfixturevalue("s3_uri"))


def test_what_was_put_is_read_back(store: Store) -> None:
    assert store.put_new("a/b.bin", b"\x00\xff content")
    assert store.read("a/b.bin") == b"\x00\xff content"
    assert store.local_path("a/b.bin").read_bytes() == b"\x00\xff content"


def test_a_name_is_created_once_and_never_changes(store: Store) -> None:
    assert store.put_new("a", b"first")
    assert not store.put_new("a", b"second")
    assert store.read("a") == b"first"


def test_files_obey_the_same_rule(store: Store, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 3_000_000)
    (tmp_path / "two").write_bytes(b"y")
    assert store.put_file("big", tmp_path / "one")
    assert not store.put_file("big", tmp_path / "two")
    assert store.read("big") == b"x" * 3_000_000


def test_what_was_put_is_listed_and_nothing_else(store: Store) -> None:
    for key in ("runs/b/manifest.json", "runs/a/x/y", "runs2/c"):
        store.put_new(key, b"")
    assert store.keys("runs") == ["runs/a/x/y", "runs/b/manifest.json"]
    assert store.keys("nothing") == []
    assert list(folders(store, "runs")) == ["a", "b"]


def test_names_that_no_store_would_write_are_not_listed(store: Store) -> None:
    store.put_new("cord/log/0000000001.json", b"{}")
    if isinstance(store, LocalStore):
        (store.root / "cord/log/.DS_Store").write_bytes(b"Bud1")
    else:
        assert isinstance(store, S3Store)
        beside = store.name("cord/log/0000000001.json")["Key"].replace("0000000001.json", ".DS_Store")
        store.client.put_object(Bucket=store.bucket, Key=beside, Body=b"Bud1")
    assert store.keys("cord") == ["cord/log/0000000001.json"]
    assert foreign(store) == (["cord/log/.DS_Store"], []), "the doctor names them"


@pytest.mark.slow
def test_more_than_a_thousand_names_are_listed(store: Store) -> None:
    for number in range(1005):
        store.put_new(f"many/{number:05d}", b"")
    assert len(store.keys("many")) == 1005


def test_a_missing_name_is_not_found(store: Store) -> None:
    with pytest.raises(FileNotFoundError):
        store.read("nowhere")
    with pytest.raises(FileNotFoundError):
        store.local_path("nowhere")


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../up", "a/../b", "a//b", "a/", ".hidden", "a/.tmp", "a b", "a\nb", "ä"]
)
def test_a_key_cannot_leave_the_store(store: Store, key: str) -> None:
    with pytest.raises(ValueError):
        store.put_new(key, b"")
    with pytest.raises(ValueError):
        check_key(key)


def _create(uri: str, number: int) -> bool:
    return open_store(uri).put_new("contended", b"%d" % number * 1000)


@pytest.mark.slow
def test_of_several_writers_exactly_one_creates(store: Store) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        created = pool.starmap(_create, [(store.uri, number) for number in range(4)])
    assert sum(created) == 1
    assert store.read("contended") == b"%d" % created.index(True) * 1000


def _append(uri: str, writer: int) -> None:
    for turn in range(5):

        def decide(so_far: list[Document], turn: int = turn) -> Document:
            return {"writer": writer, "turn": turn, "saw": len(so_far)}

        log.append(open_store(uri), "log", decide)


@pytest.mark.slow
def test_a_log_loses_nothing_and_counts_nothing_twice(store: Store) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        pool.starmap(_append, [(store.uri, writer) for writer in range(4)])
    entries = log.entries(store, "log")
    assert [entry["number"] for entry in entries] == list(range(1, 21))
    assert {(entry["writer"], entry["turn"]) for entry in entries} == {(w, t) for w in range(4) for t in range(5)}
    assert all(entry["saw"] == entry["number"] - 1 for entry in entries), "decided on entries that were not all"


def test_a_log_may_decline_to_append(store: Store) -> None:
    assert log.append(store, "log", lambda so_far: None) is None
    assert log.entries(store, "log") == []


def test_a_hole_in_a_log_is_an_error(store: Store) -> None:
    store.put_new("log/0000000002.json", seal({"number": 2}))
    with pytest.raises(Refused, match="no entry 1"):
        log.entries(store, "log")


def test_one_changed_byte_in_a_sealed_document_is_found() -> None:
    whole = seal({"run": "x", "score": 1.5})
    assert unseal(whole, "it") == {"run": "x", "score": 1.5}
    for position in range(len(whole)):
        damaged = whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :]
        with pytest.raises(Refused, match="damaged"):
            unseal(damaged, "it")


def test_no_temporary_file_is_left_behind(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    store.put_new("a", b"1")
    store.put_new("a", b"2")
    assert list((tmp_path / "store" / ".tmp").iterdir()) == []


def test_a_store_that_cannot_be_written_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(Refused, match="cannot be written"):
        LocalStore(tmp_path / "file").put_new("a", b"")
