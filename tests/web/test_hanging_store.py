"""A store that hangs: the cord is answered, nobody is locked out, and what was pulled arrives once it answers again."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data.cord.cord import open_pulls, pull, pulls
from data.page.accounts import add, revoke
from data.paths import CORD_LOG, LABELER_LOG
from data.store import LocalStore, log
from tests.support.labeling import prepared, simple
from tests.support.visitor import Visitor, opened
from web import line
from web.cached import Cached


class Hanging(LocalStore):
    """A folder on a network that may swallow every request."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.answers = threading.Event()
        self.answers.set()

    def read(self, key: str) -> bytes:
        self.answers.wait()
        return super().read(key)

    def keys(self, prefix: str) -> list[str]:
        self.answers.wait()
        return super().keys(prefix)

    def put_new(self, key: str, data: bytes) -> bool:
        self.answers.wait()
        return super().put_new(key, data)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Hanging]:
    made = Hanging(tmp_path / "store")
    prepared(made, simple(60))
    yield made
    made.answers.set()  # or its threads would wait for ever


def entries(store: Hanging) -> list[Any]:
    return log.entries(LocalStore(store.root), CORD_LOG)


def spooled(store: Hanging) -> int:
    return len(list(store.root.parent.glob("state/spool/*/*.json")))


@pytest.mark.slow
def test_a_pull_is_kept_and_answered_while_the_store_hangs_and_arrives_once(store: Hanging) -> None:
    page = opened(store)
    tokens = add(store, "ada", ["label", "pull"]), add(store, "boss", ["release"])
    ada, boss = (Visitor(page, token) for token in tokens)
    store.answers.clear()
    receipt = ada.post("/pull", {"reason": "it insults people", "scope": "campaign"})
    assert receipt.status_code == 200 and receipt.json()["number"] is None and spooled(store) == 1
    again = ada.post("/pull", {"reason": "it insults people", "scope": "campaign"})
    assert again.json()["pull"] == receipt.json()["pull"] and spooled(store) == 1
    shown = boss.client.get("/line").json()
    assert [each["pull"] for each in shown["pulls"]] == [receipt.json()["pull"]] and entries(store) == []
    store.answers.set()
    assert page.line.handed_on(600)
    assert [entry["pull"] for entry in entries(store)] == [receipt.json()["pull"]] and spooled(store) == 0
    assert ada.post("/pull", {"reason": "it insults people", "scope": "campaign"}).json()["number"] == 1
    assert boss.post("/release", {"pull": receipt.json()["pull"], "reason": "seen"}).json()["pulls"] == []


@pytest.mark.slow
def test_what_waits_for_the_store_uses_up_no_thread_that_others_need(store: Hanging) -> None:
    page = opened(store)
    tokens = [add(store, name) for name in ("ada", "bob")]
    ada = Visitor(page, tokens[0])
    asked = ada.asked()
    store.answers.clear()
    stuck = [threading.Thread(target=ada.post, args=("/answer", asked | {"choice": 0})) for _ in range(60)]
    looks = [threading.Thread(target=ada.client.get, args=("/line",)) for _ in range(60)]
    for thread in stuck + looks:
        thread.start()
    for thread in looks:
        thread.join()
    bob = Visitor(page, tokens[1])
    assert bob.signed_in.status_code == 200, "the list of labelers is what it was"
    assert bob.client.get("/static/page.js").status_code == bob.client.get("/wall").status_code == 200
    assert bob.post("/pull", {"reason": "stop"}).json()["number"] is None
    assert any(thread.is_alive() for thread in stuck), "the store still hangs"
    store.answers.set()
    for thread in stuck:
        thread.join()
    assert page.line.handed_on(600) and len(entries(store)) == 1


def test_pulls_of_an_earlier_server_are_handed_on_by_the_next_one(store: Hanging) -> None:
    add(store, "ada")
    (store.root / "cord").write_text("in the way")
    assert pull(store, "seen at night", by="ann").spooled
    (store.root / "cord").unlink()
    assert opened(store).line.handed_on(600) and len(entries(store)) == 1


def test_one_persons_pulls_are_limited_and_can_always_stop_everything(store: Hanging) -> None:
    page = opened(store)
    tokens = add(store, "ada"), add(store, "bob")
    ada, bob = (Visitor(page, token) for token in tokens)
    codes = [ada.post("/pull", {"reason": f"{n} " + "\u202e" * 900, "scope": "campaign"}).status_code for n in range(8)]
    assert codes == [200] * line.MOST_OPEN + [400] * 3
    refused = ada.post("/pull", {"reason": "one more", "scope": "campaign"}).json()["error"]
    assert "campaign:sentiment is stopped already" in refused and "--pulled-by ada" in refused and "2 more" in refused
    for n in range(30):
        ada.post("/pull", {"reason": "r", "scope": f"run:run-{n}"})
    assert len(open_pulls(store)) == line.MOST_OF_ONE
    assert "can still stop everything" in ada.post("/pull", {"reason": "r", "scope": "run:x"}).json()["error"]
    assert ada.post("/pull", {"reason": "stop it all", "scope": "everything"}).status_code == 200
    assert bob.post("/pull", {"reason": "me too", "scope": "campaign"}).status_code == 200
    for n in range(40):
        pull(store, "x" * 2_000, by=f"sentinel:{n}")
    page.line.expire()
    answer = bob.client.get("/line")
    shown = answer.json()
    assert len(shown["pulls"]) + shown["more"] == len(open_pulls(store)) == 62 and len(answer.content) < 20_000


def test_a_list_of_labelers_that_is_gone_signs_nobody_out(store: Hanging) -> None:
    page = opened(store)
    token = add(store, "ada")
    ada = Visitor(page, token)
    elsewhere = store.root.rename(store.root.with_name("unmounted"))
    page.roster.expire()
    assert ada.client.get("/wall", follow_redirects=False).status_code == 200
    assert Visitor(page, token).signed_in.status_code == 200
    elsewhere.rename(store.root)
    revoke(store, "ada")
    page.roster.expire()
    assert ada.client.get("/wall", follow_redirects=False).status_code == 303
    assert len(log.entries(store, LABELER_LOG)) == 2 and len(pulls(store)) == 0


def test_what_changed_while_it_was_read_is_read_again() -> None:
    began, go_on, values = threading.Event(), threading.Event(), iter(["old", "new"])

    def read() -> str:
        value = next(values)
        began.set()
        go_on.wait()
        return value

    cached = Cached(read, 1e9)
    assert cached.last() is None
    began.wait()
    cached.expire()  # something is changed after the read began
    go_on.set()
    assert cached.get() == "new" == cached.last()
