"""The commands of the cord, as a person and as a script meet them."""

import json
import os
import resource
import sys
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import pytest

from data.batches.composition import compose
from data.batches.index import batches
from data.batches.schema import blind
from data.cord.cord import check, open_pulls, pull
from data.errors import Refused, Stopped
from data.ingest.inbox import Delivery, refuse_delivery
from data.page import accounts
from data.quality.scorecard import find_batch
from data.runs.leases import acquire
from data.simulation.faulty_vendor import answer, chooser, make_questions
from data.store import LocalStore
from flows.cli import main
from flows.cli.environment import prepare
from tests.support.team import until
from tests.support.vendor import SHARES, Round, publish_batch


class Outcome:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def document(self) -> Any:
        return json.loads(self.out.splitlines()[-1])


@pytest.fixture
def andon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    (tmp_path / "store").mkdir()

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["andon", *arguments, "--store", str(tmp_path / "store")])
        with pytest.raises(SystemExit) as ended:
            main.main()
        return Outcome(int(ended.value.code or 0), *capsys.readouterr())

    return run


def test_pulled_seen_released(andon: Any) -> None:
    assert "the cord has not been pulled" in andon("cord").out
    made = andon("pull", "--reason", "it praises\nmurder", "--by", "ann", "--json").document()
    assert made["scope"] == "everything" and not made["spooled"]
    assert andon("status").out.startswith("STOPPED  everything, by ann at ")
    assert [pull["pull"] for pull in andon("status", "--json").document()["stopped"]] == [made["pull"]]
    assert "STOPPED" in andon("cord").out and "it praises murder" in andon("cord").out
    freed = andon("release", made["pull"], "--reason", "a quotation", "--by", "bob")
    assert freed.code == 0 and "the line is free" in freed.out
    assert "released by bob" in andon("cord").out and "STOPPED" not in andon("status").out
    (shown,) = andon("cord", "--json").document()["pulls"]
    assert shown["released"]["reason"] == "a quotation" and andon("cord", "--json").document()["open"] == []


def test_who_misspells_a_scope_is_told_and_the_pull_stands(andon: Any, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    store.put_new("campaigns/sentiment/runs/run-1/manifest.json", b"{}")
    acquire(store, "sentiment", "ann", "run-2")  # nothing of it is published yet
    for option, name in (("--campaign", "sentimnt"), ("--run", "nope"), ("--run", "run")):
        pulled = andon("pull", "--reason", "r", option, name, "--json")
        assert pulled.code == 0 and pulled.document()["scope"].endswith(name)
        assert f"no {option[2:]} {name} in" in pulled.err and "its campaigns: sentiment" in pulled.err
    for option, name in (
        ("--campaign", "sentiment"),
        ("--run", "run-1"),
        ("--run", "run-2"),
        ("--scope", "everything"),
    ):
        assert andon("pull", "--reason", "r", option, name).err == ""
    assert len(open_pulls(store)) == 7


@pytest.mark.parametrize("command", ["evaluate", "retrain", "round", "export", "sheet"])
def test_what_no_seed_can_be_is_a_mistake_of_usage(andon: Any, command: str) -> None:
    refused = andon(command, "sentiment", "--seed", "-1")
    assert refused.code == 2 and "--seed" in refused.err and "Traceback" not in refused.err


def test_a_run_by_a_name_that_leads_elsewhere_is_no_run(andon: Any) -> None:
    for asked in (("promote", "sentiment", "../../x"), ("evaluate", "sentiment", "--systems", "zero-shot,run-../../x")):
        refused = andon(*asked)
        assert refused.code == 1 and "no finished run" in refused.err, asked
    one = andon("export", "sentiment", "--compare", "zero-shot", "rl", "--questions", "1")
    assert one.code == 1 and "two or more" in one.err


def test_the_scope_is_named_once_and_the_person_too(andon: Any, tmp_path: Path) -> None:
    assert andon("pull", "--reason", "r", "--run", "run-1").code == 0
    assert andon("pull", "--reason", "r", "--campaign", "tldr").code == 0
    assert andon("pull", "--reason", "r", "--scope", "campaign:cnndm").code == 0
    found = open_pulls(LocalStore(tmp_path / "store"))
    assert [pull.scope for pull in found] == ["run:run-1", "campaign:tldr", "campaign:cnndm"]
    assert all(pull.by for pull in found)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("pull", "--reason", " "), "needs a reason"),
        (("pull", "--reason", "r", "--run", "a", "--campaign", "b"), "Give only one of"),
        (("pull", "--reason", "r", "--scope", "all"), "no scope all"),
        (("release", "pull-x", "--reason", "r"), "no pull pull-x"),
    ],
)
def test_what_is_wrong_is_one_line(andon: Any, arguments: tuple[str, ...], said: str) -> None:
    refused = andon(*arguments)
    assert refused.code == 1 and said in refused.err and len(refused.err.splitlines()) == 1


def test_a_store_out_of_reach_is_said(andon: Any, tmp_path: Path) -> None:
    (tmp_path / "store").rmdir()
    pulled = andon("pull", "--reason", "r")
    assert pulled.code == 0 and "kept on this machine" in pulled.out and not (tmp_path / "store").exists()
    (tmp_path / "store").mkdir()
    log = tmp_path / "store/cord/log"
    until("a process of its own has handed it on", lambda: len(list(log.glob("*.json"))) == 1)
    assert andon("status").out.startswith("STOPPED")


def test_the_pulls_of_one_person_are_named_in_short_and_released_together(andon: Any, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    for number in range(40):
        pull(store, f"{number} " + "x" * 3_000, by="eve")
    own = pull(store, "a reason", by="ann")
    with pytest.raises(Stopped, match="by 41 pulls: .* and 38 more") as stopped:
        check(store, "sentiment")
    assert len(str(stopped.value)) < 2_000 and len(stopped.value.pulls) == 41
    assert len(andon("status").out.splitlines()) < 15
    for arguments in (("release", "--reason", "r"), ("release", "pull-1", "--pulled-by", "eve", "--reason", "r")):
        assert "Name what to release" in andon(*arguments).err
    assert "There are open pulls by ann, eve." in andon("release", "--pulled-by", "bob", "--reason", "r").err
    freed = andon("release", "--pulled-by", "eve", "--reason", "tests", "--by", "ann")
    assert freed.code == 0 and own.pull in freed.out and len(freed.out) < 500
    assert open_pulls(store) == [own] and len(list((tmp_path / "store/cord/log").iterdir())) == 42


@pytest.mark.slow
def test_what_a_command_cannot_read_or_write_is_named_in_one_line(
    andon: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = Round(tmp_path, "sentiment")
    sent.deliver(sent.answers())
    for wanted in (tmp_path / "nowhere" / "x.jsonl", tmp_path):
        said = andon("dataset", "sentiment", "trl", str(wanted))
        assert said.code == 1 and said.err.count("\n") == 1 and said.err.startswith(f"andon: {wanted}: "), said.err
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("ANDON_STATE", str(tmp_path / "a file" / "state"))
    accounts.add(sent.store, "ann", ["label"], 1)
    said = andon("label", "sentiment")
    assert said.code == 1 and said.err.count("\n") == 1 and str(tmp_path / "a file") in said.err
    monkeypatch.setenv("ANDON_LEASE_S", "soon")
    with pytest.raises(Refused, match="ANDON_LEASE_S is 'soon', expected a number of seconds"):
        acquire(sent.store, "sentiment", "ann")
        acquire(sent.store, "sentiment", "bob")


class Tomorrow(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Tomorrow":
        return cls.fromtimestamp(datetime.now(tz).timestamp() + 86_400, tz)


@pytest.mark.slow
def test_the_newest_is_what_came_last_and_not_what_its_name_says(
    andon: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = Round(tmp_path, "sentiment")
    monkeypatch.setattr("data.store.manifest.datetime", Tomorrow)
    questions, known, utilities = make_questions(100, 6, gold=40)
    vendor, key = blind(compose(questions, known, SHARES, 0), "Which?", b"another")
    publish_batch(sent.store, "sentiment", "a9", vendor, key, {"round": 1})
    assert [each["batch"] for each in batches(sent.store, "sentiment")] == ["b1", "a9"]
    sent.deliver(answer(key.to_pylist(), chooser(utilities, 1), "clean", 1))
    assert find_batch(sent.store, "sentiment", None)["batch"] == "a9"
    sent.deliver(sent.answers())
    assert find_batch(sent.store, "sentiment", None)["batch"] == "b1", "answered last"
    refused_files = (("z", "too short"), ("a", "upside down"))
    for number, (digest, reason) in enumerate(refused_files):
        delivery = Delivery("sentiment", batches(sent.store, "sentiment")[0], f"{number}.csv", tmp_path, digest * 64)
        refuse_delivery(sent.store, delivery, Refused(reason))
    shown = andon("status").out
    assert "upside down" in shown and "too short" not in shown, "the last of two"
    assert "         b1  a9" in shown, "what decide and quality are asked about"


def test_on_a_full_disk_a_server_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"PREFECT_HOME": str(tmp_path / "home")})
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, most[1]))
    try:
        with pytest.raises(Refused, match=r"home cannot be written: File too large"):
            prepare(str(tmp_path / "store"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)


def test_two_kinds_of_questions_at_once_are_refused_before_anything_is_asked(andon: Any) -> None:
    said = andon("export", "sentiment", "--compare", "rl", "zero-shot", "--rework", "b1")
    assert said.code == 1 and "exclude each other" in said.err


@pytest.mark.slow
def test_where_a_name_is_all_that_is_needed_a_campaign_of_ones_own_has_it(andon: Any, tmp_path: Path) -> None:
    sent = Round(tmp_path, "mine")
    sent.deliver(sent.answers())
    assert andon("quality", "mine", "--json").document()["decision"] == "accept"
    assert andon("dataset", "mine", "trl", str(tmp_path / "x.jsonl"), "--json").document()["labels"] > 700
    assert andon("decide", "mine", "b1", "reject", "--reason", "bots", "--json").document()["status"] == "reject"
    assert "has no champion in" in andon("rollback", "mine", "--reason", "it mumbles").err
    assert "There is no campaign yours" in andon("quality", "yours").err
