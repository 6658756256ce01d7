"""A training in sight of the cord: it looks seldom, sees every pull, leaves with its state, and never runs unseen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.cord.cord import pull, release
from data.cord.watch import Watch
from data.errors import Stopped, StoreUnreachable
from data.paths import CORD_LOG
from data.runs.checkpoints import Checkpoints
from data.store import LocalStore
from models.lm.base import Base
from tests.models.test_resume import STEPS, TRAININGS, Training


class Clock:
    """Time that passes only when somebody waits, and by `cost` with every listing."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Counting(LocalStore):
    """A store that counts its listings, takes its time for them, and may be out of reach."""

    def __init__(self, root: Path, clock: Clock) -> None:
        super().__init__(root)
        self.clock, self.listings, self.cost, self.away_until = clock, 0, 0.0, 0.0

    def keys(self, prefix: str) -> list[str]:
        self.clock.now += self.cost
        if self.clock.now < self.away_until:
            raise ConnectionError("no route to host")
        self.listings += prefix == CORD_LOG
        return super().keys(prefix)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Counting:
    store = Counting(tmp_path / "store", clock)
    store.put_new("campaigns/tldr/label_sets/x1.json", b"{}")
    return store


@pytest.fixture
def watch(store: Counting, clock: Clock) -> Watch:
    return Watch(store, "tldr", "run-1", 60, clock, clock.sleep)


def test_every_pull_that_stops_the_run_is_seen_and_no_other(store: Counting, watch: Watch) -> None:
    watch.poll()
    pull(store, "r", by="ann", scope="run:run-2")
    pull(store, "r", by="ann", scope="campaign:cnndm")
    watch.poll()
    made = pull(store, "r", by="ann", scope="run:run-1")
    for _ in range(2):
        with pytest.raises(Stopped, match=made.pull):
            watch.poll()
    release(store, made.pull, by="bob", reason="r")
    watch.poll()


def test_looking_takes_a_twentieth_of_the_time_and_waits_no_more_than_a_second(
    store: Counting, watch: Watch, clock: Clock
) -> None:
    store.cost = 0.01
    watch.poll()
    before, began = store.listings, clock.now
    while clock.now < began + 10:
        watch.poll()
        clock.now += 0.001
    assert 20 < store.listings - before < 60
    store.cost, clock.now = 2.0, clock.now + 1
    watch.poll()
    pull(LocalStore(store.root), "r", by="ann")
    clock.now += 1.0
    with pytest.raises(Stopped):
        watch.poll()


def test_a_store_that_comes_back_in_time_is_waited_for(store: Counting, watch: Watch, clock: Clock) -> None:
    watch.poll()
    store.away_until = clock.now + 59
    watch.poll()
    assert clock.now >= store.away_until


def test_a_store_out_of_reach_for_too_long_stops_the_training(store: Counting, watch: Watch, clock: Clock) -> None:
    watch.poll()
    store.away_until = clock.now + 1_000
    with pytest.raises(StoreUnreachable, match="no route to host"):
        watch.poll()
    assert 60 <= clock.now < 62


@pytest.mark.parametrize("pulled_before", [False, True])
def test_a_store_that_is_gone_does_not_look_like_a_line_that_is_free(
    store: Counting, watch: Watch, pulled_before: bool
) -> None:
    if pulled_before:
        release(store, pull(store, "r", by="ann").pull, by="bob", reason="r")
    watch.poll()
    store.root.rename(store.root.with_name("unmounted"))
    with pytest.raises(StoreUnreachable):
        watch.poll()


def test_a_pull_that_waits_on_this_machine_stops_it_too(store: Counting, watch: Watch, clock: Clock) -> None:
    watch.poll()
    store.away_until = clock.now + 1
    made = pull(store, "r", by="ann")
    assert made.spooled
    with pytest.raises(Stopped, match=made.pull):
        watch.poll()


def stopping(at: int, error: Exception) -> Callable[[], None]:
    """Look as one who finds the line stopped at the n-th look."""
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1
        if looks > at:
            raise error

    return look


@pytest.mark.slow
@TRAININGS
@pytest.mark.parametrize("at", [0, STEPS - 1])
def test_stopped_anywhere_and_run_again_the_result_is_the_same(
    tiny: Base, tmp_path: Path, training: Any, at: int
) -> None:
    whole: Training = training
    checkpoints = Checkpoints(LocalStore(tmp_path / "store"), "runs/r/step", 1_000)  # none is due
    with pytest.raises(Stopped):
        training(tiny, checkpoints, stopping(at, Stopped([])))
    found = checkpoints.latest()
    assert found is not None and found[0] == checkpoints.newest() <= at
    assert training(tiny, checkpoints) == whole(tiny, None)


@pytest.mark.slow
def test_without_the_store_the_state_is_kept_on_this_machine(tiny: Base, tmp_path: Path, clock: Clock) -> None:
    from tests.models.test_resume import reward_training

    class Full(LocalStore):
        def put_file(self, key: str, source: Path) -> bool:
            raise OSError("no space left on device")

    store = Full(tmp_path / "store")
    checkpoints = Checkpoints(store, "runs/r/step", 1_000)
    with pytest.raises(StoreUnreachable):
        reward_training(tiny, checkpoints, stopping(3, StoreUnreachable("gone")))
    assert not store.keys("runs/r/step/checkpoints/00000003/manifest.json") and checkpoints.newest() == 3
    again = Checkpoints(LocalStore(tmp_path / "store"), "runs/r/step", 1_000)
    assert reward_training(tiny, again) == reward_training(tiny, None)
    again.clear()
    assert again.latest() is None and again.newest() == 0
