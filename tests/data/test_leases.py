"""One retrain a campaign at a time, a dead one is taken over from, and a zombie can commit nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from data.errors import LeaseHeld, LeaseLost
from data.paths import LEASE_LOG, beats_prefix, run_prefix
from data.runs import leases
from data.store import LocalStore, log, user_state
from data.store.manifest import read_manifest
from tasks.leases import round_lease, training_lease

WHOLE = {
    **{"manifest_version": 1, "kind": "run", "files": {}, "inputs": {}, "facts": {}},
    **{"began": "2026-01-01", "ended": "2026-01-02", "packages": {}},
}
ELSEWHERE = {"host": "another-machine", "pid": 1, "started": "1"}


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def of_another_machine(store: LocalStore) -> leases.Lease:
    """Take a lease as a worker on another machine would."""
    entry = log.append(
        store, LEASE_LOG, lambda _: {"kind": "take", "campaign": "c", "holder": "worker-2", "process": ELSEWHERE}
    )
    assert entry is not None
    return leases.Lease("c", entry["number"], "worker-2")


def test_the_second_taker_is_told_who_holds_the_lease(store: LocalStore) -> None:
    mine = leases.acquire(store, "c", "ann")
    with pytest.raises(LeaseHeld, match="trained by ann@"):
        leases.acquire(store, "c", "ben")
    leases.acquire(store, "another", "ben")
    leases.release(store, mine)
    assert leases.acquire(store, "c", "ben").epoch > mine.epoch


def test_a_silent_holder_is_taken_over_from_and_can_commit_nothing_any_more(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    zombie = of_another_machine(store)
    with pytest.raises(LeaseHeld, match="worker-2"):
        leases.acquire(store, "c", "ann")
    kept = leases.fenced(store, zombie)
    assert kept.put_new("campaigns/c/runs/r/reward/manifest.json", b"{}")

    monkeypatch.setenv("ANDON_LEASE_S", "0")
    mine = leases.acquire(store, "c", "ann")
    assert mine.epoch > zombie.epoch
    for write in (
        lambda: kept.put_new("campaigns/c/runs/r/policy/manifest.json", b"{}"),
        lambda: kept.drop("campaigns/c/runs/r/policy/checkpoints/00000001/manifest.json"),
        lambda: leases.renew(store, zombie),
    ):
        with pytest.raises(LeaseLost, match="ann"):
            write()
    leases.release(store, zombie)
    assert leases.holder(store, "c") is not None, "what a zombie gives back is not its own"
    assert leases.fenced(store, mine).put_new("campaigns/c/runs/r/policy/manifest.json", b"{}")


def test_a_beat_keeps_the_lease(store: LocalStore) -> None:
    lease = of_another_machine(store)
    store.put_new(f"{beats_prefix('c', lease.epoch)}/20200101T000000000000.json", b"{}")
    found = leases.holder(store, "c")
    assert found is not None and not found.alive, "its last beat is years old"
    leases.renew(store, lease)
    with pytest.raises(LeaseHeld):
        leases.acquire(store, "c", "ann")


def test_a_holder_whose_clock_runs_ahead_is_taken_over_from_after_as_long_a_silence(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease, now_s = of_another_machine(store), [1_000.0]
    monkeypatch.setattr(user_state, "_since_boot_s", lambda: now_s[0])
    store.put_new(f"{beats_prefix('c', lease.epoch)}/29990101T000000000000.json", b"{}")

    def alive_after(seconds: float) -> bool:
        now_s[0] += seconds
        found = leases.holder(store, "c")
        assert found is not None
        return found.alive

    assert [alive_after(seconds) for seconds in (0, 299, 2)] == [True, True, False]
    store.put_new(f"{beats_prefix('c', lease.epoch)}/29990101T000100000000.json", b"{}")
    assert [alive_after(seconds) for seconds in (0, 299, 2)] == [True, True, False], "a beat is a sign of life"
    assert leases.acquire(store, "c", "ann").epoch > lease.epoch


def test_two_commands_do_not_run_rounds_of_one_campaign_at_the_same_time(store: LocalStore) -> None:
    with round_lease(store.uri, "c"):
        with (
            pytest.raises(LeaseHeld, match="Rounds of c in .* are run by .* another --store"),
            round_lease(store.uri, "c"),
        ):
            raise AssertionError("two at once")
        with round_lease(store.uri, "d"), training_lease(store.uri, "c", "run-1") as lease:
            assert lease is not None, "the training has a lease of its own"
    with round_lease(store.uri, "c"):
        pass


def test_a_holder_whose_process_is_gone_from_this_machine_is_taken_over_from_at_once(store: LocalStore) -> None:
    code = "import sys, data.runs.leases as l, data.store as s; l.acquire(s.open_store(sys.argv[1]), 'c', 'gone')"
    subprocess.run([sys.executable, "-c", code, store.uri], check=True, cwd=Path(__file__).parents[2])
    found = leases.holder(store, "c")
    assert found is not None and found.by == "gone" and not found.alive
    assert leases.acquire(store, "c", "ann").epoch == 2


def test_a_holder_is_read_from_fields_and_from_the_text_of_older_stores(store: LocalStore) -> None:
    leases.acquire(store, "c", "ann", "run-1")
    held = leases.holder(store, "c")
    assert held is not None and (held.by, held.run, held.alive) == ("ann", "run-1", True)
    assert held.text == f"ann@{held.host} (process {held.pid}, run-1)"
    process = ELSEWHERE | {"host": "worker-2", "pid": 12}
    entry = {"kind": "take", "campaign": "old", "holder": "bob@worker-2 (process 12, run-2)", "process": process}
    log.append(store, LEASE_LOG, lambda _: entry)
    old = leases.holder(store, "old")
    assert old is not None and (old.by, old.run, old.host, old.pid) == ("bob", "run-2", "worker-2", 12)
    assert old.text == entry["holder"]


def test_a_training_holds_the_lease_until_it_ends_and_a_published_run_needs_none(store: LocalStore) -> None:
    with training_lease(store.uri, "c", "run-1") as lease:
        assert lease is not None
        with pytest.raises(LeaseHeld), training_lease(store.uri, "c", "run-2"):
            raise AssertionError("two trainings")
    assert leases.holder(store, "c") is None
    with pytest.raises(RuntimeError), training_lease(store.uri, "c", "run-1"):
        raise RuntimeError("it failed")
    assert leases.holder(store, "c") is None, "a training that failed leaves no lease behind"
    from data.canonical import seal

    store.put_new(f"{run_prefix('c', 'run-1')}/manifest.json", seal(WHOLE))
    assert read_manifest(store, run_prefix("c", "run-1")) is not None
    with training_lease(store.uri, "c", "run-1") as lease:
        assert lease is None


def test_a_takeover_between_a_zombies_look_and_its_commit_fences_it(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    zombie = of_another_machine(store)
    monkeypatch.setenv("ANDON_LEASE_S", "0")
    manifest, real = "campaigns/c/runs/r/policy/manifest.json", store.put_new

    def woken_too_late(key: str, data: bytes) -> bool:
        monkeypatch.setattr(store, "put_new", real)
        assert leases.acquire(store, "c", "ann").epoch > zombie.epoch
        return real(key, data)

    monkeypatch.setattr(store, "put_new", woken_too_late)
    with pytest.raises(LeaseLost, match="ann"):
        leases.fenced(store, zombie).put_new(manifest, b"{}")
    assert store.keys("campaigns") == []
    epochs = [entry["epoch"] for entry in log.entries(store, LEASE_LOG) if entry["kind"] == "commit"]
    assert epochs == []


def test_commits_name_their_epoch_once_and_do_not_end_the_lease(store: LocalStore) -> None:
    lease = leases.acquire(store, "c", "ann")
    own = leases.fenced(store, lease)
    for _ in range(2):
        own.put_new("campaigns/c/runs/r/policy/manifest.json", b"{}")
    own.put_new("campaigns/c/runs/r/policy/checkpoints/00000001/manifest.json", b"{}")
    commits = [entry for entry in log.entries(store, LEASE_LOG) if entry["kind"] == "commit"]
    assert [(entry["epoch"], entry["key"]) for entry in commits] == [(1, "campaigns/c/runs/r/policy/manifest.json")]
    with pytest.raises(LeaseHeld):
        leases.acquire(store, "c", "ben")
    leases.release(store, lease)
    assert leases.holder(store, "c") is None
