"""The labeling page: nothing lost, nothing twice, and nobody does what they may not."""

import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from data.campaign.settings import Ask
from data.cord import cord
from data.errors import Refused
from data.ingest.pipeline import ingest
from data.labels.table import active_labels, committed, deliveries
from data.page.accounts import account_of, accounts, add, revoke
from data.page.answers import collect, mark_delivered, save
from data.paths import LABELER_LOG, comparisons_of, name_in
from data.store import LocalStore, log
from tests.support.labeling import prepared, simple, stored_answers
from tests.support.visitor import ORIGIN, Visitor, opened
from web.app import Page, application
from web.desk import Desk
from web.desks import Desks
from web.limits import Limit
from web.serve import check_address
from web.sessions import LASTS, Sessions


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    made = LocalStore(tmp_path / "store")
    prepared(made, simple(6))
    return made


def test_a_token_is_known_by_its_hash_alone_and_revoking_ends_it(store: LocalStore) -> None:
    token = add(store, "ada", ["label", "release"])
    assert token not in "".join(path.read_text() for path in store.root.glob("labelers/log/*"))
    account = account_of(accounts(store), token)
    assert account is not None and (account.name, account.may) == ("ada", ("label", "release"))
    assert account_of(accounts(store), token + "x") is None and account_of(accounts(store), "\ud800") is None
    with pytest.raises(Refused, match="already"):
        add(store, "ada")
    revoke(store, "ada")
    assert account_of(accounts(store), token) is None
    assert [entry["kind"] for entry in log.entries(store, LABELER_LOG)] == ["add", "revoke"]
    add(store, "bob", days=-1)
    assert "bob" not in accounts(store), "its time is over"
    for name, may in (("../x", ["label"]), ("eve", ["root"]), ("eve", []), ("eve", [""])):
        with pytest.raises(Refused):
            add(store, name, may)


def test_the_same_answer_twice_is_one_and_another_is_refused_with_the_stored_one(store: LocalStore) -> None:
    ada = Visitor(opened(store), add(store, "ada"))
    asked = ada.question()
    sent = {
        "question_id": asked["question_id"],
        "ticket": asked["ticket"],
        "version": 1,
        "choice": asked["options"][2]["choice"],
        "seconds": 3,
    }
    assert [ada.post("/answer", sent | {"seconds": s}).status_code for s in (3, 4)] == [200, 200]
    other = ada.post("/answer", sent | {"choice": asked["options"][0]["choice"]})
    assert other.status_code == 409 and other.json()["stored"]["choice"] == sent["choice"]
    assert len(stored_answers(store)) == 1


def test_a_server_that_was_killed_knows_every_answer_and_everybody(store: LocalStore) -> None:
    token = add(store, "ada")
    ada = Visitor(opened(store), token)
    asked = ada.question()
    sent = {"question_id": asked["question_id"], "ticket": asked["ticket"], "version": 1, "choice": 1}
    assert ada.post("/answer", sent).status_code == 200
    again = Visitor(opened(store), token)
    again.client.cookies, again.csrf = ada.client.cookies, ada.csrf  # the old session still holds
    assert again.post("/answer", sent).status_code == 200, "a page that heard nothing asks again"
    assert again.client.get("/question").json()["progress"] == {"mine": 1, "answered": 1, "questions": 6}
    seen = {again.question()["question_id"], asked["question_id"]}
    assert len(seen) == 2 and len(stored_answers(store)) == 1


def test_no_two_labelers_hold_one_question_until_a_lease_runs_out(store: LocalStore) -> None:
    now = [0.0]
    batch = prepared(store, simple(6))
    desk = Desk(store, "sentiment", batch, clock=lambda: now[0])
    held = {name: desk.next_for(name) for name in "abcdef"}
    assert len({q.question_id for q in held.values() if q}) == 6
    assert desk.next_for("g") is None
    assert desk.next_for("a") == held["a"]
    now[0] = 601.0
    late = desk.next_for("g")
    assert late is not None
    holder = next(name for name, q in held.items() if q == late)
    assert desk.answer("g", late.question_id, 1, {"choice": 0}).saved
    beaten = desk.answer(holder, late.question_id, 1, {"choice": 0})
    assert not beaten.saved and beaten.other is not None and beaten.other["labeler_id"] == "g"


def test_two_copies_of_a_question_go_to_two_labelers(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    desk = Desk(store, "sentiment", prepared(store, simple(1) * 2))
    first = desk.next_for("ada")
    assert first is not None and desk.answer("ada", first.question_id, 1, {"choice": 0}).saved
    assert desk.next_for("ada") is None
    assert desk.next_for("bob") is not None


def test_options_stand_in_another_order_for_another_labeler_and_map_back(store: LocalStore) -> None:
    page = opened(store)
    question = next(iter(page.desks.last.questions.values()))
    from web.desk import order_for

    orders = {tuple(order_for(question, f"labeler-{n}")) for n in range(200)}
    assert len(orders) == 24
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)


@pytest.mark.slow
def test_what_the_page_collects_is_ingested_as_any_vendors_file_and_a_correction_supersedes(store: LocalStore) -> None:
    page = opened(store)
    desk = page.desks.last
    names = list(desk.questions)
    desk.answer("ada", names[0], 1, {"choice": 0, "note": "=1+1", "confidence": 0.9})
    desk.answer("ada", names[0], 2, {"choice": 2})
    desk.answer("bob", names[1], 1, {"choice": "tie"})
    desk.answer("bob", names[2], 1, {"choice": "skip"})

    def take_in() -> tuple[int, int, int] | None:
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as scratch:
            collected = collect(store, "sentiment", "b1", Path(folder))
            if collected is None:
                return None
            outcome = ingest(store, "sentiment", collected.path, Path(scratch))
            mark_delivered(store, "sentiment", "b1", collected.answers)
            return outcome.accepted, outcome.quarantined, outcome.duplicates

    assert take_in() == (2, 0, 0)
    assert take_in() is None
    desk.answer("ada", names[0], 3, {"choice": 3})
    assert take_in() == (1, 0, 0)
    labels = active_labels(committed(store, deliveries(store, "sentiment")))
    shown = {label.question_id: label.best_shown for label in labels}
    assert shown == {names[0]: 3, names[1]: None}


@pytest.mark.slow
def test_a_crash_between_ingest_and_its_mark_counts_nothing_twice(store: LocalStore) -> None:
    desk = opened(store).desks.last
    names = list(desk.questions)
    accepted = []
    for n in (0, 1):
        desk.answer("ada", names[n], 1, {"choice": n})
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as scratch:
            collected = collect(store, "sentiment", "b1", Path(folder))
            assert collected is not None
            accepted.append(ingest(store, "sentiment", collected.path, Path(scratch)).accepted)
    assert accepted == [1, 1]


def test_who_may_not_is_refused_and_pulling_knows_no_quota(store: LocalStore) -> None:
    page = opened(store)
    tokens = add(store, "ada", ["label"]), "a guess", add(store, "boss", ["pull", "release"])
    ada, eve, boss = (Visitor(page, token) for token in tokens)
    page.answers = Limit(0, 1)
    assert eve.signed_in.status_code == 401 and eve.client.get("/question").status_code == 401
    assert ada.post("/pull", {"reason": "x"}).status_code == 403
    assert boss.client.get("/question").status_code == 403
    receipts = [boss.post("/pull", {"reason": f"bad {n % 2}", "scope": "campaign"}).json() for n in range(12)]
    assert {receipt["number"] for receipt in receipts} == {1, 2}, "twice for one reason is one pull"
    assert ada.post("/release", {"pull": receipts[0]["pull"], "reason": "no"}).status_code == 403
    assert boss.post("/release", {"pull": receipts[0]["pull"], "reason": "seen"}).status_code == 200
    assert [pull.pull for pull in cord.open_pulls(store)] == [receipts[1]["pull"]]
    assert boss.post("/pull", {"reason": "  "}).status_code == 400
    revoke(store, "boss")
    page.roster.expire()  # two seconds later
    assert boss.post("/pull", {"reason": "again"}).status_code == 401


def test_a_change_comes_from_a_page_of_this_session_and_origin_only(store: LocalStore) -> None:
    page = opened(store)
    tokens = add(store, "ada"), add(store, "bob")
    ada, bob = (Visitor(page, token) for token in tokens)
    body = {"reason": "x"}
    assert ada.post("/pull", body, origin="http://evil.example").status_code == 403
    assert ada.post("/pull", body, **{"sec-fetch-site": "cross-site"}).status_code == 403
    assert ada.post("/pull", body, **{"x-csrf": bob.csrf}).status_code == 403
    assert ada.post("/pull", body, host="evil.example", origin="http://evil.example").status_code == 421
    assert ada.client.get("/question", headers={"host": "evil.example"}).status_code == 421
    plain = {"origin": ORIGIN, "x-csrf": ada.csrf, "content-type": "text/plain"}
    assert ada.client.post("/pull", content=json.dumps(body), headers=plain).status_code == 415
    long = {"question_id": "q", "note": "x" * 70_000}
    assert ada.post("/answer", long).status_code == 413
    assert ada.client.get("/pull").status_code == 405 and cord.pulls(store) == []


def test_every_answer_carries_the_headers_and_the_cookie_is_out_of_reach(store: LocalStore) -> None:
    ada = Visitor(opened(store), add(store, "ada"))
    for path in ("/", "/wall", "/question", "/static/page.css", "/nothing"):
        headers = ada.client.get(path).headers
        assert "script-src 'self'" in headers["content-security-policy"] and "unsafe" not in str(headers)
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
    cookie = ada.signed_in.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    assert "<script>" not in ada.client.get("/").text, "no inline script"
    public = Page(store, opened(store).desks, b"k" * 32, "https://label.example.org")
    secure = TestClient(application(public), base_url="https://label.example.org")
    revoke(store, "ada")
    token = add(store, "ada")
    made = secure.post("/session", json={"token": token}, headers={"origin": "https://label.example.org"})
    assert made.headers["set-cookie"].startswith("__Host-andon=") and "secure" in made.headers["set-cookie"].lower()


def test_a_session_ends_with_its_time_and_cannot_be_made_up(store: LocalStore) -> None:
    now = [1_000.0]
    sessions = Sessions(b"k" * 32, clock=lambda: now[0])
    add(store, "ada")
    listed = accounts(store)
    cookie = sessions.issue(listed["ada"])
    assert sessions.read(cookie, listed) == listed["ada"]
    for wrong in (cookie + "0", cookie.replace("ada", "bob"), "", "ada", "ada::", "ada:9999999999:é", "ada:²:x"):
        assert sessions.read(wrong, listed) is None
    assert Sessions(b"other" * 8, clock=lambda: now[0]).read(cookie, listed) is None
    now[0] += LASTS + 1
    assert sessions.read(cookie, listed) is None


def test_guessing_tokens_and_answering_like_a_machine_are_slowed_down(store: LocalStore) -> None:
    token, page = add(store, "ada"), opened(store)
    assert [Visitor(page, f"guess {n}").signed_in.status_code for n in range(7)] == [401] * 5 + [429] * 2
    assert Visitor(page, token).signed_in.status_code == 200, "from the same address, with a right token"
    now = [0.0]
    limit = Limit(2, 60, clock=lambda: now[0])
    assert [limit.wait("ada"), limit.wait("ada"), limit.wait("ada"), limit.wait("bob")] == [0, 0, 1, 0]
    now[0] = 1.0
    assert limit.wait("ada") == 0


def test_what_is_no_answer_is_refused_in_words(store: LocalStore) -> None:
    ada = Visitor(opened(store), add(store, "ada"))
    asked = ada.question()
    good = {"question_id": asked["question_id"], "ticket": asked["ticket"], "version": 1, "choice": 0}
    for change in ({"choice": 4}, {"choice": -1}, {"choice": True}, {"choice": None}, {"version": 2}, {"version": 0}):
        assert ada.post("/answer", good | change).status_code == 400
    assert ada.post("/answer", good | {"question_id": "../../x"}).status_code == 400
    assert ada.post("/answer", good | {"note": "x" * 2_001}).status_code == 400
    assert stored_answers(store) == {}
    assert (
        ada.post("/answer", good | {"note": "\ud800 ok", "seconds": float("1e9"), "confidence": 7}).status_code == 200
    )
    [kept] = stored_answers(store).values()
    assert kept["note"] == "? ok" and "seconds" not in kept and "confidence" not in kept


def test_an_answer_of_another_kind_does_not_replace_a_stored_one(store: LocalStore) -> None:
    at = datetime.now(UTC)
    answer = {"question_id": "q1", "content_sha256": "x", "labeler_id": "a", "best": 1, "answered_at": at.isoformat()}
    assert save(store, "sentiment", "b1", 1, answer) is None
    assert save(store, "sentiment", "b1", 1, answer | {"answered_at": (at + timedelta(1)).isoformat()}) is None
    assert save(store, "sentiment", "b1", 1, answer | {"labeler_id": "b"}) == answer


def test_other_machines_reach_the_page_only_by_an_explicit_https_name() -> None:
    check_address("127.0.0.1")
    check_address("0.0.0.0", public="https://label.example.org")
    for listen, public in (("0.0.0.0", None), ("192.0.2.1", None), ("127.0.0.1", "http://label.example.org")):
        with pytest.raises(Refused):
            check_address(listen, public=public)


@pytest.mark.slow
def test_a_comparison_of_systems_is_answered_on_the_page_and_its_cord_is_the_campaigns(tmp_path: Path) -> None:
    store, name = LocalStore(tmp_path / "store"), comparisons_of("sentiment")
    batch = prepared(store, simple(3), campaign=name)
    page = Page(store, Desks(Desk(store, name_in(batch.prefix), batch)), b"k" * 32, None)
    ada = Visitor(page, add(store, "ada", ["label", "pull"]))
    for question in page.desks.last.questions:
        page.desks.last.answer("ada", question, 1, {"choice": 0})
    collected = collect(store, name, "b1", tmp_path)
    assert collected is not None and len(collected.answers) == 3
    with tempfile.TemporaryDirectory() as scratch:
        assert ingest(store, "sentiment", collected.path, Path(scratch)).compares
    assert len(deliveries(store, name)) == 1 and deliveries(store, "sentiment") == []
    ada.post("/pull", {"reason": "obscene", "scope": "campaign"})
    assert [each.scope for each in cord.open_pulls(store)] == ["campaign:sentiment"]


def test_a_page_that_asks_for_ratings_takes_nothing_else_and_says_what_is_missing(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    prepared(store, simple(2), ask=Ask(kind="ratings", axes=("accuracy", "overall")))
    page = opened(store)
    ada = Visitor(page, add(store, "ada"))
    shown = ada.client.get("/").text
    assert "Rate every option from 1 (worst) to 7 (best) on: accuracy, overall." in shown
    assert shown.count('data-field="overall"') == 4 * 7 and 'value="tie"' not in shown
    asked = ada.question()
    sent = {"question_id": asked["question_id"], "ticket": asked["ticket"], "version": 1}
    for form in ({"choice": 0}, {"choice": "tie"}, {"given": {"overall": [1, 2, 3, 4]}}):
        refused = ada.post("/answer", sent | form)
        assert refused.status_code == 400 and refused.json()["error"].startswith("Rate every text from 1 to 7 on")
    given = {"accuracy": [1, 2, 3, 4], "overall": [7, 7, 1, 7], "style": [1, 1, 1, 1]}
    assert ada.post("/answer", sent | {"given": given, "note": "a note"}).status_code == 200
    [kept] = stored_answers(store).values()
    assert json.loads(str(kept["ratings"])) == {"accuracy": [1, 2, 3, 4], "overall": [7, 7, 1, 7]}
    assert "best" not in kept and kept["note"] == "a note"
    before = ada.client.get("/last").json()["question"]["before"]
    assert before == {"note": "a note", "given": {name: given[name] for name in ("accuracy", "overall")}}
    asked = ada.question()
    sent = {"question_id": asked["question_id"], "ticket": asked["ticket"], "version": 1}
    skipped = ada.post("/answer", sent | {"choice": "skip"})
    assert skipped.status_code == 200
