"""An alarm pulls the cord once: its code decides whether a person has released it before, also in an old log."""

import re
from pathlib import Path

import pytest

from data.cord import cord
from data.cord.alarms import OLD_CODES, Alarm, code_of
from data.cord.response_sentinels import ResponseCode
from data.cord.reward_sentinels import RewardModelCode
from data.cord.sentinels import UpdateCode
from data.store import LocalStore
from models.monitoring.monitor import pull_for
from models.monitoring.preflight import PreflightCode

CODES = [str(code) for codes in (UpdateCode, ResponseCode, RewardModelCode, PreflightCode) for code in codes]
ALARM = Alarm(UpdateCode.REWARD_MISMATCH, "token rewards are off by 0.3", ("the reward's sign is flipped",))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    monkeypatch.setenv("ANDON_STATE", str(tmp_path / "state"))
    (tmp_path / "store").mkdir()
    return LocalStore(tmp_path / "store")


def test_codes_are_distinct_and_every_old_name_has_one() -> None:
    assert len(set(CODES)) == len(CODES)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code) for code in CODES)
    assert set(OLD_CODES.values()) <= set(CODES)
    assert code_of("sentinel:paid otherwise") == code_of("sentinel:reward-mismatch") == UpdateCode.REWARD_MISMATCH
    assert code_of("sentinel:repetition") == ResponseCode.REPETITION, "a name that was a code already"
    assert code_of("ann") is None


def test_an_alarm_pulls_once_and_not_after_its_release(store: LocalStore) -> None:
    assert pull_for(store, "run-1", ALARM)
    (first,) = cord.open_pulls(store)
    assert first.by == "sentinel:reward-mismatch" and first.evidence["sentinel"] == "reward-mismatch"
    assert pull_for(store, "run-1", ALARM) and len(cord.pulls(store)) == 1
    cord.release(store, first.pull, by="ann", reason="a test of the cord")
    assert not pull_for(store, "run-1", ALARM._replace(text="reworded")) and len(cord.pulls(store)) == 1
    assert pull_for(store, "run-2", ALARM), "another run stops"
    assert pull_for(store, "run-1", ALARM._replace(code=UpdateCode.SCORE_FALLS)), "and so does another sentinel"


def test_a_release_in_an_old_log_counts(store: LocalStore) -> None:
    old = cord.pull(store, "paid otherwise: ...", by="sentinel:paid otherwise", scope="run:run-1")
    cord.release(store, old.pull, by="ann", reason="known")
    assert not pull_for(store, "run-1", ALARM)
