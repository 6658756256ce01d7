"""The cord: a pull is never lost, stops what it names, and only a release that names it lets the line go on."""

import multiprocessing
from pathlib import Path

import pytest

from data.cord import Stopped, check, history, open_pulls, pull, release, replay
from data.refused import Refused
from data.store import LocalStore, open_store
from data.watch import Watch


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDON_STATE", str(tmp_path / "state"))


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def test_a_pull_stops_until_a_release_names_it(store: LocalStore) -> None:
    check(store, "c", "r")
    one, two = pull(store, "the samples are bad", by="ann"), pull(store, "me too", by="bob")
    release(store, one.pull, by="eve", reason="looked at it")
    with pytest.raises(Stopped, match="me too") as stopped:
        check(store, "c", "r")
    assert [found.pull for found in stopped.value.pulls] == [two.pull]
    release(store, two.pull, by="eve", reason="fixed")
    check(store, "c", "r")
    assert [(made.by, done and done.reason) for made, done in history(store)] == [
        ("ann", "looked at it"),
        ("bob", "fixed"),
    ]


@pytest.mark.parametrize(
    ("scope", "stops", "leaves"),
    [
        ("everything", [("c", "r"), ("d", "q"), ("c", None)], []),
        ("campaign:c", [("c", "r"), ("c", None)], [("d", "r")]),
        ("run:r", [("c", "r")], [("c", "q"), ("c", None)]),
    ],
)
def test_a_pull_stops_its_scope_and_nothing_else(
    store: LocalStore, scope: str, stops: list[tuple[str, str | None]], leaves: list[tuple[str, str | None]]
) -> None:
    pull(store, "why", by="ann", scope=scope)
    for campaign, run in stops:
        assert open_pulls(store, campaign, run)
    for campaign, run in leaves:
        check(store, campaign, run)
    assert len(open_pulls(store)) == 1


def test_what_makes_no_sense_is_refused_in_words(store: LocalStore) -> None:
    with pytest.raises(Refused, match="needs a reason"):
        pull(store, "  ", by="ann")
    with pytest.raises(Refused, match="scope"):
        pull(store, "why", by="ann", scope="here")
    with pytest.raises(Refused, match="no pull pull-0"):
        release(store, "pull-0", by="ann", reason="x")
    made = pull(store, "why", by="ann")
    release(store, made.pull, by="ann", reason="first")
    with pytest.raises(Refused, match="was released by ann"):
        release(store, made.pull, by="bob", reason="second")


def test_the_same_name_is_one_pull(store: LocalStore) -> None:
    for _ in range(2):
        pull(store, "row 7 says stop", by="vendor", name="file-x1-row-7")
    assert len(history(store)) == 1


def _pull(uri: str, number: int) -> str:
    return pull(open_store(uri), f"reason {number}", by="somebody").pull


def _release(uri: str, name: str) -> None:
    release(open_store(uri), name, by="eve", reason="looked")


def test_pulls_and_releases_at_the_same_moment_are_all_kept(store: LocalStore) -> None:
    first = [pull(store, "early", by="ann").pull for _ in range(4)]
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        releases = pool.starmap_async(_release, [(store.uri, name) for name in first])
        made = pool.starmap(_pull, [(store.uri, number) for number in range(8)])
        releases.get()
    assert {found.pull for found in open_pulls(store)} == set(made), "a release took another pull along"
    assert len(history(store)) == 12


def test_a_pull_out_of_the_stores_reach_waits_and_is_handed_in_once(store: LocalStore) -> None:
    store.root.write_text("a file where the store should be")
    made = pull(store, "the samples are bad", by="ann")
    assert made.spooled
    store.root.unlink()
    with pytest.raises(Stopped, match="the samples are bad"):
        check(store, "c", "r")
    assert replay(store) == []
    assert len(history(store)) == 1


def test_a_pull_that_was_handed_in_but_not_dropped_counts_once(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.root.write_text("")
    pull(store, "why", by="ann")
    store.root.unlink()
    with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
        dying.setattr(LocalStore, "drop", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        replay(store)
    replay(store)
    assert len(history(store)) == 1


class Clock:
    """Time that passes only when somebody waits."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


def test_a_training_sees_a_pull_at_its_next_look(store: LocalStore) -> None:
    clock = Clock()
    watch = Watch(store, "c", "r", clock=clock, pause=clock.wait)
    assert watch() == []
    made = pull(store, "why", by="ann")
    clock.wait(1)
    assert [found.pull for found in watch()] == [made.pull]
    release(store, made.pull, by="eve", reason="fine")
    clock.wait(1)
    assert watch() == []


def test_a_training_that_cannot_see_the_cord_pauses_and_then_ends(store: LocalStore) -> None:
    clock = Clock()
    watch = Watch(store, "c", "r", patience_s=60, clock=clock, pause=clock.wait)
    store.put_new("cord/log/0000000001.json", b"not what a log entry looks like")
    with pytest.raises(Refused, match="out of reach for 60 s"):
        watch()
    assert 60 <= clock.now < 62
