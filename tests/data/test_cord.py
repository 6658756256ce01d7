"""The cord: a pull is never lost, whoever pulls beside it, whatever breaks, and only a release ends it."""

import json
import multiprocessing
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.cord.cord import check, open_pulls, pull, pulls, release
from data.cord.spool import spool_key
from data.errors import Refused, Stopped
from data.paths import CORD_LOG
from data.store import LocalStore, log


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    (tmp_path / "store").mkdir()
    return LocalStore(tmp_path / "store")


def test_who_is_on_call_hears_of_a_pull_that_is_already_in_the_log(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[dict[str, Any]] = []

    class Pager(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            heard.append(told | {"recorded": [made.pull for made in open_pulls(store)]})
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Pager) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("ANDON_WEBHOOK", f"http://127.0.0.1:{server.server_port}/pager")
        made = pull(store, "it only says yes", by="ann", scope="run:run-1")
        server.shutdown()
    text = f"andon stop: {made.pull} by ann (run:run-1): it only says yes"
    assert heard == [{"pull": made.pull, "kind": "stop", "text": text, "recorded": [made.pull]}]


class OutOfReach(LocalStore):
    """A store behind a network that is down."""

    def put_new(self, key: str, data: bytes) -> bool:
        raise ConnectionError("no route to host")

    def keys(self, prefix: str) -> list[str]:
        raise ConnectionError("no route to host")


def spooled(folder: Path) -> list[Path]:
    return sorted(folder.glob("state/spool/*/*.json"))


def test_a_pull_stops_its_scope_and_a_release_lets_it_go_on(store: LocalStore) -> None:
    check(store, "sentiment", "run-1")
    everything = pull(store, "the samples are obscene", by="ann")
    with pytest.raises(Stopped, match=f"{everything.pull} by ann .* the samples are obscene"):
        check(store, "sentiment", "run-1")
    release(store, everything.pull, by="bob", reason="the sign is right again")
    check(store, "sentiment", "run-1")
    (only,) = pulls(store)
    assert only.pull == everything and only.release is not None
    assert (only.release.by, only.release.reason) == ("bob", "the sign is right again")


@pytest.mark.parametrize(
    ("scope", "stopped"),
    [
        ("everything", [True, True, True, True]),
        ("campaign:tldr", [True, True, False, True]),
        ("run:run-1", [True, False, False, True]),
    ],
)
def test_a_pull_stops_no_more_than_its_scope(store: LocalStore, scope: str, stopped: list[bool]) -> None:
    pull(store, "r", by="ann", scope=scope)
    asked = [("tldr", "run-1"), ("tldr", "run-2"), ("cnndm", "run-3"), (None, None)]
    assert [bool(open_pulls(store, *each)) for each in asked] == stopped


def test_what_cannot_be_released_is_refused_and_says_why(store: LocalStore) -> None:
    first, second = pull(store, "one", by="ann"), pull(store, "two", by="ann")
    with pytest.raises(Refused, match=f"no pull pull-x .*Open pulls: {first.pull}, {second.pull}"):
        release(store, "pull-x", by="bob", reason="r")
    release(store, first.pull, by="bob", reason="fixed")
    with pytest.raises(Refused, match="released already, by bob .* fixed"):
        release(store, first.pull, by="eve", reason="again")
    assert [each.pull for each in open_pulls(store)] == [second.pull]
    for reason in ("", "  "):
        with pytest.raises(Refused, match="needs a reason"):
            release(store, second.pull, by="bob", reason=reason)
        with pytest.raises(Refused, match="needs a reason"):
            pull(store, reason, by="ann")
    with pytest.raises(Refused, match="no scope"):
        pull(store, "r", by="ann", scope="run:../x")


def test_no_evidence_is_too_strange_for_a_pull(store: LocalStore) -> None:
    loss: dict[str, Any] = {"loss": float("nan"), "kl": [float("inf"), 1.5], "at": Path("x"), "n": 3, "said": "\ud800"}
    made = pull(store, "NaN\x1b[2J\nand a second line \udfff" + "!" * 5_000, by="sentinel", evidence=loss)
    (found,) = open_pulls(store)
    assert found == made and found.evidence["loss"] == "nan" and found.evidence["kl"] == ["inf", 1.5]
    with pytest.raises(Stopped) as stopped:
        check(store)
    assert "\x1b" not in str(stopped.value) and "\n" not in str(stopped.value)


def test_out_of_reach_a_pull_is_spooled_and_replayed_exactly_once(store: LocalStore, tmp_path: Path) -> None:
    away = OutOfReach(store.root)
    made = pull(away, "seen at night", by="ann", scope="campaign:tldr", evidence={"kl": 80.0})
    assert made.spooled and len(spooled(tmp_path)) == 1 and not store.keys(CORD_LOG)
    with pytest.raises(Stopped, match=made.pull):
        check(away, "tldr")
    with pytest.raises(ConnectionError):
        check(away, "cnndm")
    copy = spooled(tmp_path)[0].read_bytes()
    (found,) = open_pulls(store, "tldr")
    assert found == made._replace(number=1) and not spooled(tmp_path)
    (tmp_path / "state" / "spool").mkdir(exist_ok=True)
    for again in (False, True):  # the process died between the append and the drop; then also after the release
        if again:
            release(store, made.pull, by="bob", reason="fine")
        LocalStore(tmp_path / "state").put_new(spool_key(store, made), copy)
        assert len(pulls(store)) == 1 and len(open_pulls(store)) == (0 if again else 1) and not spooled(tmp_path)
    assert [entry["kind"] for entry in log.entries(store, CORD_LOG)] == ["pull", "release"]


class ReadOnly(LocalStore):
    def put_new(self, key: str, data: bytes) -> bool:
        raise PermissionError("read only")


def test_a_spooled_pull_stops_this_machine_also_while_the_store_takes_nothing(store: LocalStore) -> None:
    made = pull(ReadOnly(store.root), "r", by="ann")
    assert made.spooled
    with pytest.raises(Stopped, match=made.pull):
        check(ReadOnly(store.root))


def test_a_folder_that_is_not_there_is_a_store_out_of_reach_and_is_not_invented(tmp_path: Path) -> None:
    absent = LocalStore(tmp_path / "not-mounted")
    assert pull(absent, "r", by="ann").spooled and not absent.root.exists()
    absent.root.mkdir()
    assert [made.spooled for made in open_pulls(absent)] == [False]


def test_where_nothing_can_be_written_the_caller_is_told(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ANDON_STATE", str(tmp_path / "file"))
    assert not pull(store, "the store alone suffices", by="ann").spooled
    with pytest.raises(Refused, match="NOT recorded"):
        pull(OutOfReach(store.root), "r", by="ann")


def _pull_many(folder: str, state: str, name: str, count: int, done: "multiprocessing.Queue[str]") -> None:
    os.environ["ANDON_STATE"] = state
    for number in range(count):
        made = pull(LocalStore(Path(folder)), f"{name} {number}", by=name)
        assert not made.spooled
        done.put(made.pull)


def _release_all(folder: str, state: str, wanted: int) -> None:
    os.environ["ANDON_STATE"] = state
    store, freed = LocalStore(Path(folder)), 0
    while freed < wanted:
        for made in open_pulls(store)[:1]:
            release(store, made.pull, by="chief", reason="r")
            freed += 1


def test_concurrent_pulls_and_releases_are_all_kept(store: LocalStore, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    done: multiprocessing.Queue[str] = context.Queue()
    common = (str(store.root), str(tmp_path / "state"))
    workers = [context.Process(target=_pull_many, args=(*common, f"p{i}", 6, done)) for i in range(4)]
    workers.append(context.Process(target=_release_all, args=(*common, 9)))
    for worker in workers:
        worker.start()
    acknowledged = {done.get(timeout=600) for _ in range(24)}
    for worker in workers:
        worker.join(600)
    assert [worker.exitcode for worker in workers] == [0] * 5
    found = pulls(store)
    assert {each.pull.pull for each in found} == acknowledged and len(found) == 24
    assert len(open_pulls(store)) == 15 and not spooled(tmp_path)


class Dying(LocalStore):
    """A store whose process is killed while it writes, before or after the write."""

    after = False

    def put_new(self, key: str, data: bytes) -> bool:
        if self.after:
            super().put_new(key, data)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("not reached")


@pytest.mark.parametrize("after", [False, True])
def test_killed_in_the_middle_of_a_pull_it_is_in_the_log_with_the_next_look(
    store: LocalStore, tmp_path: Path, after: bool
) -> None:
    def die() -> None:
        dying = Dying(store.root)
        dying.after = after
        pull(dying, "the last thing I saw", by="ann")

    child = multiprocessing.get_context("fork").Process(target=die)
    child.start()
    child.join(600)
    assert child.exitcode == -signal.SIGKILL and len(spooled(tmp_path)) == 1
    assert [made.reason for made in open_pulls(store)] == ["the last thing I saw"]
    assert len(log.entries(store, CORD_LOG)) == 1 and not spooled(tmp_path)


MOVES = st.lists(st.sampled_from(["pull", "pull out of reach", "release", "look", "replay again"]), max_size=12)


@settings(max_examples=40, deadline=None)
@given(MOVES, st.randoms(use_true_random=False))
def test_whatever_happens_in_whatever_order_what_is_not_released_stays_open(
    tmp_path_factory: pytest.TempPathFactory, moves: list[str], draw: Any
) -> None:
    folder = tmp_path_factory.mktemp("moves")
    (folder / "store").mkdir()
    near, far = LocalStore(folder / "store"), OutOfReach(folder / "store")
    before = os.environ["ANDON_STATE"]
    os.environ["ANDON_STATE"] = str(folder / "state")
    try:
        still: set[str] = set()
        copies: list[tuple[str, bytes]] = []
        for move in moves:
            if move.startswith("pull"):
                made = pull(far if "reach" in move else near, "r", by="ann")
                still.add(made.pull)
                if made.spooled:
                    (file,) = (file for file in spooled(folder) if file.stem == made.pull)
                    copies.append((spool_key(near, made), file.read_bytes()))
            elif move == "release" and still:
                gone = draw.choice(sorted(still))
                release(near, gone, by="bob", reason="r")
                still.remove(gone)
            elif move == "replay again" and copies:
                LocalStore(folder / "state").put_new(*draw.choice(copies))
            elif move == "look":
                assert {made.pull for made in open_pulls(near)} == still
        assert {made.pull for made in open_pulls(near)} == still
    finally:
        os.environ["ANDON_STATE"] = before
