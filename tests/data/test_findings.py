"""Findings are compared by code: rewording a fault ends nobody's decision, and decisions of old stores are in force."""

from typing import Any

import pytest

from data.labels import findings
from data.labels.decisions import batch_statuses, decision_log, override
from data.labels.findings import EVIDENCE, FAULTS, Code, Finding
from data.paths import quality_log_prefix
from data.store import log
from tests.support.vendor import Round

# The faults that commit f4abd29 could record, in its words.
OLD_WORDS = (
    "answers look inverted",
    "answers look inverted, or have nothing to do with the texts",
    "indices are off by one",
    "part of the answers look wrong",
    "rows are joined to the wrong questions",
    "slots are not mapped back",
    "slots are not mapped back, or rows are joined to the wrong questions",
    "gold questions are often wrong",
    "positions are not chosen evenly",
    "the batch is not complete",
    "labelers hardly agree",
    "many questions are not decided",
    "alpha is not what it was",
    "agreement with the reward model is not what it was",
    "the rate of the fixed comparison is not what it was",
    "always the same position",
    "accounts copy each other",
    "some labelers answer at random",
    "gold answers wrong",
    "own answers not repeated",
    "faster than anybody reads",
)


def old(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an entry of the log as f4abd29 wrote it: faults in words, no codes."""
    words = {code: FAULTS[code] for code in Code}
    if entry["kind"] == "override":
        return {name: entry[name] for name in entry if name != "codes"} | {
            "faults": [words[Code(code)] for code in entry["codes"]]
        }
    bare = [{name: f[name] for name in f if name not in ("code", "numbers")} for f in entry["findings"]]
    labelers = {
        name: {key: each[key] for key in each if key != "codes"} | {"faults": [words[Code(c)] for c in each["codes"]]}
        for name, each in entry["labelers"].items()
    }
    texts = {name.replace("rejected", "passed over"): value for name, value in entry["measures"]["texts"].items()}
    measures = entry["measures"] | {"texts": texts}
    return entry | {"version": 6, "findings": bare, "labelers": labelers, "measures": measures}


def as_old_store(sent: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the log from now on as if all that it has were written by f4abd29."""
    read = log.entries
    count = len(read(sent.store, quality_log_prefix("c")))

    def entries(store: Any, prefix: str) -> list[dict[str, Any]]:
        rows = read(store, prefix)
        return [old(row) for row in rows[:count]] + rows[count:] if prefix == quality_log_prefix("c") else rows

    monkeypatch.setattr("data.store.log.entries", entries)


def test_every_word_of_old_stores_has_a_code_and_every_code_has_a_text() -> None:
    assert [findings.code_of(words) for words in OLD_WORDS] == list(dict.fromkeys(map(findings.code_of, OLD_WORDS)))
    assert {findings.code_of(words) for words in OLD_WORDS} == set(Code) == set(FAULTS)
    assert set(EVIDENCE) == set(Code) - {Code.WRONG_JOIN, Code.GUESSING}, "two whose text depends on their numbers"


def test_a_decision_holds_when_a_fault_is_reworded(sent: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = sent.answers("copycats")
    sent.deliver(rows[: len(rows) * 4 // 5])
    override(sent.store, "c", "b1", "accept", "they sit in one room", None)
    monkeypatch.setitem(FAULTS, Code.COPYING, "these labelers answer alike")
    monkeypatch.setitem(FAULTS, Code.INCOMPLETE, "answers are missing")
    sent.deliver(rows[len(rows) * 4 // 5 :])
    assert any("answer alike" in f["fault"] for e in decision_log(sent.store, "c")[-1:] for f in e["findings"])  # type: ignore[typeddict-item]
    assert batch_statuses(sent.store, "c")["b1"].decision == "accept"


@pytest.mark.slow
@pytest.mark.parametrize("of_labeler", [False, True])
def test_a_decision_of_an_old_store_holds_until_something_new_is_found(
    sent: Round, monkeypatch: pytest.MonkeyPatch, of_labeler: bool
) -> None:
    rows = sent.answers("copycats")
    most = len(rows) * 4 // 5
    first = sent.deliver(rows[:most])
    accused = first.findings[0]["labelers"][0]
    override(sent.store, "c", "b1", "accept", "they sit in one room", accused if of_labeler else None)
    as_old_store(sent, monkeypatch)
    assert "faults" in log.entries(sent.store, quality_log_prefix("c"))[-1]

    def accepted() -> bool:
        status = batch_statuses(sent.store, "c")["b1"]
        return status.weights[accused] > 0 if of_labeler else status.decision == "accept"

    assert accepted()
    sent.deliver(rows[most:])
    assert accepted(), "the same fault, found by the new rules"
    sent.deliver([row | {"labeler_id": f"{row['labeler_id']}-b"} for row in sent.answers("always first")])
    assert accepted() == of_labeler, "another fault of the batch was not decided about"


def test_old_assessments_are_read_in_the_shape_of_today(sent: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    sent.deliver(sent.answers("always first"))
    (new,) = decision_log(sent.store, "c")
    as_old_store(sent, monkeypatch)
    (read,) = decision_log(sent.store, "c")
    assert new["kind"] == read["kind"] == "assessment"
    assert [finding["code"] for finding in read["findings"]] == [finding["code"] for finding in new["findings"]]
    assert read["measures"] == new["measures"] and "words rejected" in read["measures"]["texts"]
    assert {n: each["codes"] for n, each in read["labelers"].items()} == {
        n: each["codes"] for n, each in new["labelers"].items()
    }


def test_text_is_made_from_code_and_numbers() -> None:
    found = Finding(Code.OFF_BY_ONE, "reject", {
        "source": "gold", "right": 0.1, "low": 0.05, "high": 0.2, "chance": 0.25, "shifted": 0.8, "side": "behind",
    })  # fmt: skip
    assert found.fault == "indices are off by one"
    assert found.evidence == (
        "0.100 [0.050, 0.200] of the gold questions are right (chance 0.25): "
        "80% of the answers are one position behind the right one"
    )
