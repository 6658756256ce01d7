"""Rework: what was answered and does not count is asked once more, and only that."""

import pytest

from data.batches.index import batches
from data.batches.schema import TESTS, read_key
from data.campaign import Campaign, load_campaign
from data.errors import Refused
from data.labels.decisions import batch_statuses, override
from data.paths import KEY_FILE
from data.rounds.rework import publish_rework
from tests.support.vendor import Round


@pytest.fixture
def campaign() -> Campaign:
    """The campaign of the batch: `c`, a name that a file could not have."""
    return load_campaign("sentiment", changes={"batch": {"overlap_share": 0.0}}).model_copy(update={"name": "c"})


def test_held_answers_are_asked_again_and_no_others(sent: Round, campaign: Campaign) -> None:
    given = sent.answers()
    sent.deliver(given[:1200])
    assert batch_statuses(sent.store, "c")["b1"].decision == "hold", "a part of the batch is missing"
    rework = publish_rework(sent.store, campaign, "b1")
    (again,) = [batch for batch in batches(sent.store, "c") if batch["batch"] == rework]
    assert again["round"] == 1 and again["rework_of"] == "b1"
    key = {row["question_id"]: row for row in sent.key}
    answered = {key[str(row["question_id"])]["item"] for row in given[:1200]}
    wanted = {row["item"] for row in sent.key if row["item"] in answered and row["role"] not in TESTS}
    rows = list(read_key(again.path(KEY_FILE)))
    assert {row["item"] for row in rows} == wanted and len(rows) == len(wanted)
    assert {row["selection_reason"] for row in rows} == {"rework"}
    assert not {row["question_id"] for row in rows} & key.keys(), "ids are new"
    assert publish_rework(sent.store, campaign, "b1") == rework and len(batches(sent.store, "c")) == 2


def test_what_only_a_rejected_labeler_answered_is_asked_again(sent: Round, campaign: Campaign) -> None:
    given = sent.answers()
    sent.deliver(given)
    with pytest.raises(Refused, match="no answers that were held or rejected"):
        publish_rework(sent.store, campaign, "b1")
    bad = str(given[0]["labeler_id"])
    override(sent.store, "c", "b1", "reject", "a test", bad)
    rework = publish_rework(sent.store, campaign, "b1")
    (again,) = [batch for batch in batches(sent.store, "c") if batch["batch"] == rework]
    key = {row["question_id"]: row for row in sent.key}
    whose: dict[str, set[str]] = {}
    for row in given:
        whose.setdefault(key[str(row["question_id"])]["item"], set()).add(str(row["labeler_id"]))
    roles = {row["item"]: row["role"] for row in sent.key}
    wanted = {item for item, who in whose.items() if who == {bad} and roles[item] not in TESTS}
    assert {row["item"] for row in read_key(again.path(KEY_FILE))} == wanted and wanted


def test_a_batch_that_is_not_there_has_no_rework(sent: Round, campaign: Campaign) -> None:
    with pytest.raises(Refused, match="no batch b9; it has: b1"):
        publish_rework(sent.store, campaign, "b9")
