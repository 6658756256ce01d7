"""Sessions and the key of this machine: what ends a session, and whose names the page answers to."""

import os
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from data.errors import Unavailable
from data.page.accounts import accounts, add
from data.store import LocalStore
from data.store.user_state import state_folder
from tests.support.labeling import prepared, simple
from tests.support.visitor import ORIGIN, Visitor, opened
from web.app import application
from web.guard import is_ours
from web.sessions import LASTS, Sessions, machine_key


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    made = LocalStore(tmp_path / "store")
    prepared(made, simple(3))
    return made


def test_signing_out_ends_this_session_alone_also_for_a_server_that_starts_later(store: LocalStore) -> None:
    token = add(store, "ada")
    page = opened(store)
    here, elsewhere = Visitor(page, token), Visitor(page, token)
    stolen = here.client.cookies.get("andon") or ""
    assert here.client.post("/sign-out", json={}, headers={"origin": ORIGIN}).status_code == 200
    for server in (page, opened(store)):
        client = TestClient(application(server), base_url=ORIGIN, cookies={"andon": stolen})
        assert client.get("/question").status_code == 401
        assert server.sessions.read(elsewhere.client.cookies.get("andon") or "", accounts(store)) is not None


def test_ended_sessions_are_forgotten_after_their_time_and_strangers_leave_nothing(store: LocalStore) -> None:
    now = [1_000_000.0]
    sessions = Sessions(b"k" * 32, clock=lambda: now[0])
    add(store, "ada")
    listed = accounts(store)
    folder = state_folder() / "ended-sessions"
    for cookie in ("", "ada", "ada:9999999999-0:" + "0" * 64):
        sessions.end(cookie, listed)
    assert not folder.exists()
    first = sessions.issue(listed["ada"])
    sessions.end(first, listed)
    assert sessions.read(first, listed) is None and len(list(folder.iterdir())) == 1
    now[0] += LASTS + 1
    sessions.end(sessions.issue(listed["ada"]), listed)
    assert len(list(folder.iterdir())) == 1


def test_a_key_that_is_damaged_or_that_others_could_know_is_made_anew(tmp_path: Path) -> None:
    path = state_folder() / "page.key"
    good = machine_key()
    assert machine_key() == good and len(good) == 32
    for content, mode in ((b"", 0o600), (b"k", 0o600), (good + b"x", 0o600), (good, 0o666), (good, 0o640)):
        path.write_bytes(content)
        path.chmod(mode)
        made = machine_key()
        assert len(made) == 32 and made not in (content, good) and machine_key() == made
        assert path.stat().st_mode & 0o777 == 0o600
    target = tmp_path / "elsewhere"
    target.write_bytes(good)
    target.chmod(0o600)
    path.unlink()
    path.symlink_to(target)
    assert machine_key() != good and not path.is_symlink()
    path.unlink()
    os.mkfifo(path)
    assert len(machine_key()) == 32 and path.is_file()


@pytest.mark.parametrize("path", ["/", "/static", "/static/page.css", "/wall/", "/wall", "/line", "/nothing", "/mine"])
def test_no_route_answers_to_another_name_and_none_redirects_there(store: LocalStore, path: str) -> None:
    client = TestClient(application(opened(store)), base_url=ORIGIN)
    for host in (
        "evil.example",
        "[",
        "[::1",
        "",
        "127.0.0.1:x",
        "127.0.0.1.evil.example",
        "a@127.0.0.1",
        "127.0.0.1:999999",
    ):
        answer = client.get(path, headers={"host": host}, follow_redirects=False)
        assert answer.status_code == 421 and "location" not in answer.headers, host
        assert "content-security-policy" in answer.headers


def test_our_own_names_are_ours() -> None:
    for host in ("127.0.0.1", "127.0.0.1:8600", "localhost:1", "LOCALHOST", "[::1]:8600"):
        assert is_ours(host, None)
    assert is_ours("Label.example.org", "https://label.example.org")
    assert not is_ours("label.example.org:444", "https://label.example.org")
    assert not is_ours("127.0.0.1", "https://label.example.org")


def test_a_store_that_is_gone_signs_nobody_out_and_says_so(store: LocalStore, tmp_path: Path) -> None:
    page = opened(store)
    token = add(store, "ada")
    ada = Visitor(page, token)
    sent = ada.asked() | {"choice": 0}
    for gone in ("missing", "empty"):
        os.rename(store.root, tmp_path / "away")
        if gone == "empty":
            store.root.mkdir()
        page.roster.expire()  # two seconds later
        refused = ada.post("/answer", sent)
        assert refused.status_code == 503 and "does not answer" in refused.json()["error"]
        assert Visitor(page, token).signed_in.status_code in (200, 503)
        with pytest.raises((Unavailable, OSError)):
            accounts(store)
        if gone == "empty":
            assert list(store.root.iterdir()) == []
            store.root.rmdir()
        os.rename(tmp_path / "away", store.root)
        page.roster.expire()
        assert ada.client.get("/question").status_code == 200
    assert ada.post("/answer", sent).status_code == 200
