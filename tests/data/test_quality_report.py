"""The quality report: what was decided and why, what it cost and how long it took, from the logs alone."""

import warnings

import pyarrow.parquet as pq
import pytest

from data.errors import Refused
from data.labels.decisions import override
from data.quality.scorecard import scorecards
from data.reports.quality import report_batch, report_vendors
from tests.support.vendor import Round


def test_cost_is_spread_over_the_labels_that_are_trained_on(sent: Round) -> None:
    sent.deliver(sent.answers())
    (card,) = scorecards(sent.store, "c", price=0.5)
    gold = sum(row["role"] == "gold" for row in sent.key)
    assert (card.answers, card.counted) == (len(sent.key), len(sent.key) - gold)
    assert card.cost == 0.5 * len(sent.key) and card.cost_a_label == pytest.approx(card.cost / card.counted)
    assert card.hours is not None and 0 <= card.hours < 1
    override(sent.store, "c", "b1", "reject", "we asked for something else", None)
    (card,) = scorecards(sent.store, "c", price=0.5)
    assert card.counted == 0 and card.cost_a_label is None and card.cost > 0, "it is paid for all the same"


@pytest.mark.slow
def test_the_report_names_what_was_found_and_needs_nothing_else(sent: Round) -> None:
    rows = sent.answers("always first")
    rows[0] |= {"critique": "<script>alert(1)</script> all of them are dull", "correction": "She laughed."}
    outcome = sent.deliver(rows)
    published = report_batch(sent.store, "c", "b1")
    page = published.path("report.html").read_text()
    (finding,) = outcome.findings
    assert "On hold" in page and finding["fault"] in page and all(name in page for name in finding["labelers"])
    assert "<script" not in page and "&lt;script&gt;" in page, "labelers' words are shown and never run"
    assert "She laughed." in page and "<svg" in page
    assert "src=" not in page and "@import" not in page and 'rel="stylesheet"' not in page


def test_names_of_labelers_are_drawn_as_they_are(sent: Round) -> None:
    names = ["$\\frac{a$", "日本 太郎", "a$b_c$"]
    sent.deliver([row | {"labeler_id": names[number % 3]} for number, row in enumerate(sent.answers())])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # they would stand between the lines of the command
        page = report_batch(sent.store, "c", "b1").path("report.html").read_text()
    assert all(f">{name}</text>" in page for name in names)


def test_every_label_has_a_decision_a_weight_and_reasons(sent: Round) -> None:
    outcome = sent.deliver(sent.answers("always first"))
    accused = set(outcome.findings[0]["labelers"])
    held = pq.read_table(report_batch(sent.store, "c").path("labels.parquet")).to_pylist()
    assert len(held) == len(sent.key) and {row["decision"] for row in held} == {"hold"}
    assert {row["weight"] for row in held} == {0.0} and all(row["reasons"] for row in held)
    override(sent.store, "c", "b1", "accept", "the others are fine", None)
    now = pq.read_table(report_batch(sent.store, "c").path("labels.parquet")).to_pylist()
    assert {row["decision"] for row in now if row["labeler_id"] in accused} == {"hold"}
    assert {row["decision"] for row in now if row["labeler_id"] not in accused} == {"accept"}
    assert {row["rules"] for row in now} == {8}


@pytest.mark.slow
def test_the_same_state_gives_the_same_report_and_a_new_decision_another(sent: Round) -> None:
    sent.deliver(sent.answers())
    first = report_batch(sent.store, "c", "b1")
    assert report_batch(sent.store, "c", "b1").prefix == first.prefix
    override(sent.store, "c", "b1", "hold", "let me look", None)
    second = report_batch(sent.store, "c", "b1")
    assert second.prefix != first.prefix and "let me look" in second.path("report.html").read_text()
    vendors = report_vendors(sent.store, "c", 0.1).path("report.html").read_text()
    assert "unnamed" in vendors and "let me look" in vendors and "Hours from export" in vendors


def test_a_batch_that_is_not_there_or_not_answered_is_refused(sent: Round) -> None:
    with pytest.raises(Refused, match="no batch with answers"):
        report_batch(sent.store, "c")
    with pytest.raises(Refused, match="no batch b9"):
        report_batch(sent.store, "c", "b9")
    assert "No answers yet" in report_batch(sent.store, "c", "b1").path("report.html").read_text()
