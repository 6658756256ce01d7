"""What others send to the page, and put into its folders: refused in one line or passed over, and never in the way."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.page.accounts import add
from data.page.answers import collect, foreign_keys, saved
from data.store import LocalStore
from tests.support.labeling import prepared, simple, stored_answers
from tests.support.visitor import ORIGIN, Visitor, opened

ODD: list[Any] = [
    True,
    False,
    None,
    1.0,
    1.5,
    -1,
    0,
    10**400,
    2**63,
    "1",
    "\ud800",
    "a\x00b",
    [],
    {},
    [[1]],
    "x" * 3000,
]


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory) -> Visitor:
    store = LocalStore(tmp_path_factory.mktemp("page") / "store")
    prepared(store, simple(4))
    page = opened(store)
    page.answers = page.looks = _NoLimit()  # type: ignore[assignment]
    visitor = Visitor(page, add(store, "ada", ["label", "pull", "release"]))
    visitor.store = store  # type: ignore[attr-defined]
    return visitor


class _NoLimit:
    def wait(self, who: str, take: int = 1) -> int:
        return 0


def refused_in_a_line(answer: Any) -> bool:
    message = answer.json()["error"]
    return answer.status_code in (400, 413) and "\n" not in message and message.isprintable() and len(message) < 300


@pytest.mark.parametrize("field", ["question_id", "version", "choice", "ticket"])
def test_a_field_of_another_type_is_refused_in_a_line_and_leaves_nothing(ada: Visitor, field: str) -> None:
    good = ada.asked() | {"choice": 0}
    for odd in ODD:
        if field == "choice" and type(odd) is int and odd == 0:
            continue
        assert refused_in_a_line(ada.post("/answer", good | {field: odd})), (field, odd)
    assert stored_answers(ada.store) == {}  # type: ignore[attr-defined]


def test_unknown_fields_flags_and_control_characters_are_refused(ada: Visitor) -> None:
    good = ada.asked() | {"choice": 0}
    for odd in (
        {"labeler_id": "bob"},
        {"flags": ["stop_run"]},
        {"flags": "broken_question"},
        {"given": {"place": [True]}},
    ):
        assert refused_in_a_line(ada.post("/answer", good | odd)), odd
    for wrong in ({"note": "bell \x07"}, {"note": ["x"]}, {"given": [1]}, {"seconds": "1"}, {"seconds": 10**400}):
        assert refused_in_a_line(ada.post("/answer", good | wrong)), wrong
    for path, form in (("/pull", {}), ("/pull", {"reason": 1}), ("/release", {"pull": 7, "reason": "x"})):
        assert refused_in_a_line(ada.post(path, form)), path
    assert stored_answers(ada.store) == {}  # type: ignore[attr-defined]


NO_OBJECTS = [b"", b"[]", b"1", b"nul", b'{"a":NaN}', b'{"a":Infinity}', b'{"a":' * 12_000, b"[" * 30_000]
NO_OBJECTS += [b"\xff\xfe{}", b"\xed\xa0\x80", b'{"version":' + b"9" * 5_000 + b"}", b"\xef\xbb\xbf{}"]
NO_OBJECTS += ["{}".encode("utf-16"), b"{" + b" " * 70_000 + b"}"]


@pytest.mark.parametrize("path", ["/answer", "/pull", "/release", "/session", "/sign-out"])
def test_what_is_no_json_object_is_refused_in_a_line(ada: Visitor, path: str) -> None:
    headers = {"origin": ORIGIN, "x-csrf": ada.csrf, "content-type": "application/json"}
    for body in NO_OBJECTS:
        assert refused_in_a_line(ada.client.post(path, content=body, headers=headers)), body[:20]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["question_id", "ticket", "version", "choice", "given", "seconds", "confidence", "note", "flags"]
)


@settings(max_examples=150)
@given(
    change=st.dictionaries(FIELDS, JSON, max_size=3), path=st.sampled_from(["/answer", "/pull", "/release", "/session"])
)
@pytest.mark.slow
def test_no_body_ends_in_a_server_error_or_an_answer_that_cannot_be_collected(
    ada: Visitor, change: dict[str, Any], path: str
) -> None:
    good = {"question_id": "q", "ticket": "", "version": 1, "choice": 0}
    answer = ada.post(path, (good | change) if path == "/answer" else change)
    assert answer.status_code < 500, answer.text
    assert "error" in answer.json()


def test_foreign_names_in_the_folders_of_the_page_are_passed_over_and_named(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    prepared(store, simple(3))
    page = opened(store)
    ada = Visitor(page, add(store, "ada"))
    assert ada.post("/answer", (sent := ada.asked()) | {"choice": 2}).status_code == 200
    question, folder = sent["question_id"], "campaigns/sentiment/page/b1"
    others = [f"{folder}/answers/{question}.{odd}.json" for odd in ("True", "01", "0", "3", "1.5", "-1")]
    others += [f"{folder}/answers/{name}" for name in ("README", "Thumbs.db", "a/b.1.json", f"{question}.1.json.bak")]
    others += [f"{folder}/delivered/desktop.ini", f"{folder}/notes.txt", f"{folder}/answers/q..1.json"]
    for key in others:
        store.put_new(key, b"not ours")
    assert foreign_keys(store.keys("campaigns")) == sorted(others)
    [[answer]] = saved(store, "sentiment", "b1").values()
    assert answer["best"] == 2 and opened(store).desks.last.progress("ada")["answered"] == 1
    collected = collect(store, "sentiment", "b1", tmp_path)
    assert collected is not None and collected.answers == [f"{question}.1"]


def test_an_answer_to_a_question_that_is_in_no_batch_is_passed_over(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    prepared(store, simple(1))
    answer = {"question_id": "qzzz", "content_sha256": "x", "labeler_id": "bob", "best": 0, "answered_at": "2026-01-01"}
    from data.page.answers import save

    save(store, "sentiment", "b1", 1, answer)
    page = opened(store)
    assert not page.desks.last.finished and page.desks.last.next_for("ada") is not None


def test_a_question_that_one_was_not_shown_cannot_be_answered_and_a_copy_only_once(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    prepared(store, simple(2) * 2)
    page = opened(store)
    ada, bob = (Visitor(page, token) for token in [add(store, "ada"), add(store, "bob")])
    hers = ada.asked()
    for ticket in ("", "0" * 64, bob.asked()["ticket"]):
        refused = bob.post("/answer", hers | {"ticket": ticket, "choice": 0})
        assert refused.status_code == 400 and "not shown" in refused.json()["error"]
    desk = page.desks.last
    copies = [name for name, each in desk.questions.items() if each.item == desk.questions[hers["question_id"]].item]
    assert len(copies) == 2
    assert ada.post("/answer", hers | {"choice": 1}).status_code == 200
    [other] = set(copies) - {hers["question_id"]}
    ticket = page.sessions.ticket("ada", other, desk.questions[other].content_sha256)
    again = ada.post("/answer", {"question_id": other, "ticket": ticket, "version": 1, "choice": 1})
    assert again.status_code == 400 and "another copy" in again.json()["error"]
    assert len(stored_answers(store)) == 1


def test_what_somebody_else_has_now_is_not_answered_over_their_head(tmp_path: Path) -> None:
    now = [0.0]
    store = LocalStore(tmp_path / "store")
    prepared(store, simple(1))
    page = opened(store)
    page.desks.last._clock = lambda: now[0]
    ada, bob = (Visitor(page, token) for token in [add(store, "ada"), add(store, "bob")])
    hers = ada.asked()
    assert bob.question() is None
    now[0] = 601.0
    his = bob.asked()
    late = ada.post("/answer", hers | {"choice": 0})
    assert late.status_code == 409 and late.json()["error"].startswith("Somebody else has this question now")
    assert bob.post("/answer", his | {"choice": 1}).status_code == 200
    assert [answer["labeler_id"] for answer in stored_answers(store).values()] == ["bob"]


def test_after_a_restart_a_labeler_gets_the_question_that_was_open(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    prepared(store, simple(30))
    token = add(store, "ada")
    held = Visitor(opened(store), token).asked()
    for _ in range(3):
        again = Visitor(opened(store), token)
        query = f"/question?held={held['question_id']}&ticket={held['ticket']}"
        assert again.client.get(query).json()["question"]["question_id"] == held["question_id"]
    assert json.dumps(held)


def test_one_s_own_answers_are_listed_and_each_can_be_changed(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    prepared(store, simple(4))
    page = opened(store)
    ada, bob = (Visitor(page, token) for token in [add(store, "ada"), add(store, "bob")])
    given = []
    for choice in (0, "skip", "tie"):
        sent = ada.asked() | {"choice": choice, "flags": ["broken_question"] if choice == "skip" else []}
        assert ada.post("/answer", sent).status_code == 200
        given.append((sent["question_id"], choice))
    listed = ada.client.get("/answers").json()
    assert listed["all"] == 3
    assert [(each["question_id"], each["answer"]["choice"]) for each in listed["answers"]] == given[::-1]
    assert [each["answer"].get("flags") for each in listed["answers"]] == [None, ["broken_question"], None]
    first = ada.client.get(f"/answers/{given[0][0]}").json()["question"]
    assert first["version"] == 2 and first["before"]["choice"] == 0
    change = {"question_id": first["question_id"], "version": 2, "choice": 3}
    assert bob.client.get(f"/answers/{given[0][0]}").status_code == 400
    assert bob.post("/answer", change).status_code == 409
    assert ada.post("/answer", change).status_code == 200
    assert ada.client.get("/answers?begin=2").json()["answers"][0]["answer"]["choice"] == 3
    assert ada.client.get("/answers?begin=-1").status_code == ada.client.get("/answers?begin=x").status_code == 400
    collected = collect(store, "sentiment", "b1", tmp_path)
    assert collected is not None
    import pyarrow.parquet as pq

    rows = pq.read_table(collected.path).to_pylist()
    assert sorted(row["flags"] or [] for row in rows) == [[], [], ["broken_question"]]
