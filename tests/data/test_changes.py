"""A campaign that asks something else than when its labels were asked for trains on them only if a person says so."""

from pathlib import Path
from typing import Any

import pytest

from data.campaign import Campaign, load_campaign
from data.campaign.section import Settings
from data.campaign.settings import Ask, Batch, TextFormat
from data.errors import Refused
from data.labels.label_sets import freeze
from data.rounds.changes import decide_changes
from data.store.manifest import publish
from tests.support.history import NOW
from tests.support.vendor import Round

SECTIONS: dict[str, type[Settings]] = {"": Campaign, "text.": TextFormat, "batch.": Batch, "ask.": Ask}
ASKED: dict[str, Any] = {
    "instructions": "Which is the saddest?",
    "text.query_tokens": 32,
    "text.query_ends_at": None,
    "text.query_starts_after": ".",
    "text.response_tokens": 30,
    "text.temperature": 1.0,
    "text.truncate_at": "!",
    "text.truncate_after": 5,
    "text.queries": "speeches",
    "text.prefix": "Q:",
    "text.suffix": "TL;DR:",
    "text.cleaning": "tldr",
    "batch.samples": 3,
    "ask.axes": ["accuracy"],
    "text.columns": ["a", "b"],
}


def changed(settings: Campaign, name: str, value: Any) -> Campaign:
    """Return settings with another value of one of them, by its dotted name."""
    document = settings.model_dump(mode="json")
    *sections, field = name.split(".")
    place = document
    for section in sections:
        place = place[section]
    place[field] = value
    return Campaign.model_validate(document)


@pytest.fixture(scope="module")
def settings() -> Campaign:
    return load_campaign("sentiment", changes={"name": "cc"})


@pytest.fixture
def labeled(settings: Campaign, tmp_path: Path) -> tuple[Round, str]:
    """A batch that names its settings, and the label set of its answers."""
    sent = Round(tmp_path, "cc", more={"campaign": settings.model_dump(mode="json")})
    sent.deliver(sent.answers())
    label_set = freeze(sent.store, "cc")
    assert label_set is not None
    return sent, label_set


def test_every_setting_either_decides_what_is_asked_or_may_change_freely() -> None:
    for prefix, section in SECTIONS.items():
        assert section.free <= set(section.model_fields)
        asked = {f"{prefix}{name}" for name in section.model_fields if name not in section.free}
        assert asked <= {*ASKED, "text", "batch", "ask"}, "a new setting is asked until somebody says that it is free"


@pytest.mark.parametrize("name", ASKED)
def test_each_setting_that_decides_what_is_asked_is_named_with_both_values(name: str, settings: Campaign) -> None:
    now = changed(settings, name, ASKED[name])
    before = settings.model_dump(mode="json")
    value = before
    for part in name.split("."):
        value = value[part]
    assert list(now.changes_since(before)) == [(name, value, ASKED[name])]


def test_prices_names_and_trainings_change_nothing_that_was_asked(settings: Campaign) -> None:
    now = settings
    free = {"vendor.price": 0.2, "vendor.name": "b", "policy.lr": 1.0, "promotion.win_rate_above": 0.6}
    for name, value in (
        free | {"text.invalid_score": -2.0, "batch.questions": 9, "base": "./moved", "ask.kind": "ranking"}
    ).items():
        now = changed(now, name, value)
    assert list(now.changes_since(settings.model_dump(mode="json"))) == []
    assert list(now.changes_since({})) == [], "batches of older stores name no settings"
    own, moved = (changed(settings, "text.queries", place) for place in ("/here/queries", "/there/queries"))
    assert list(moved.changes_since(own.model_dump(mode="json"))) == [], "the same files on another machine"


def test_labels_of_another_question_are_refused_until_a_person_decides_and_the_run_says_who(
    labeled: tuple[Round, str], settings: Campaign
) -> None:
    sent, label_set = labeled
    assert decide_changes(sent.store, settings, label_set, None, "ann") is None
    other = changed(changed(settings, "instructions", "Which is the saddest?"), "text.temperature", 1.0)
    with pytest.raises(Refused) as refusal:
        decide_changes(sent.store, other, label_set, None, "ann")
    message = str(refusal.value)
    assert "instructions was 'Which continuation is the most" in message and "'Which is the saddest?'" in message
    assert "text.temperature was 0.7, and is 1.0 (batch b1)" in message and '--despite "your reason"' in message
    assert "\n" not in message
    for blank in ("", " ", "\u200b"):
        with pytest.raises(Refused, match="needs a reason"):
            decide_changes(sent.store, other, label_set, blank, "ann")
    decision = decide_changes(sent.store, other, label_set, "they were asked by word of mouth", "ann")
    assert decision is not None and (decision["by"], decision["reason"]) == ("ann", "they were asked by word of mouth")
    assert [change["setting"] for change in decision["changes"]] == ["instructions", "text.temperature"]


def test_a_decision_is_in_force_for_later_runs_until_something_else_changes(
    labeled: tuple[Round, str], settings: Campaign
) -> None:
    sent, label_set = labeled
    other = changed(settings, "text.temperature", 1.0)
    decision = decide_changes(sent.store, other, label_set, "a small change", "ann")
    facts = {"run": "run-1", "changes": decision}
    publish(sent.store, "campaigns/cc/runs/run-1", "run", {"b": b"b"}, inputs={}, facts=facts, began=NOW)
    again = decide_changes(sent.store, other, label_set, None, "bob")
    assert again is not None and (again["by"], again["decided_for"]) == ("ann", "run-1")
    with pytest.raises(Refused, match=r"temperature was 0\.7, and is 1\.3"):
        decide_changes(sent.store, changed(settings, "text.temperature", 1.3), label_set, None, "bob")
