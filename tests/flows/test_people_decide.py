"""What people say of two systems: blind questions, their answers, and how those decide about a run."""

import random
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from data.answers.answer import won
from data.batches.composition import compose
from data.batches.index import namespace_of
from data.batches.schema import Question, Sample, blind, write_parts, write_table
from data.campaign import Campaign
from data.campaign.settings import Batch
from data.evaluation.gate import gate, promote_by_hand
from data.evaluation.human_evaluation import human_evaluations, human_results, preferred_by_people
from data.ingest.pipeline import ingest
from data.labels.decisions import batch_statuses, override
from data.labels.label_sets import freeze
from data.labels.table import Committed, deliveries
from data.paths import comparisons_of
from data.store import Store
from data.store.manifest import Publication, publish, read_manifest
from flows.cli.status import status_lines, status_result
from tests.support.history import Made
from tests.support.vendor import Round


def compare(
    sent: Round,
    left: str,
    right: str,
    winner: str,
    count: int = 80,
    people: int = 4,
    rules: Campaign | None = None,
    equal: int = 0,
    answered: float = 1.0,
    copies: int = 1,
    overlap: float = 1.0,
    turncoats: float = 0.0,
    everybody: bool = False,
    guest: bool = False,
    order: int | None = None,
    batch: str = "h001-x",
) -> None:
    """Ask some people which of two systems is better, and let them prefer one, but for a share of the answers."""
    samples = (Sample("the one", [], left), Sample("the other text", [], right))
    asked = [Question(f"t{n}", f"query {n}", [], samples) for n in range(count)]
    shares = Batch(questions=count, probe_share=0, overlap_share=overlap, overlap_copies=copies) if copies > 1 else None
    asked = compose(asked, [], shares, 0) if shares else asked
    vendor, key = blind(asked, "Which?", f"another secret of {batch}".encode())
    write_table(key, sent.folder / "compared.parquet")
    files: dict[str, Path | bytes] = dict(write_parts(vendor, sent.folder))
    files["key/samples.parquet"] = sent.folder / "compared.parquet"
    facts: dict[str, Any] = {"batch": batch, "round": 1, "questions": len(asked), "systems": [left, right]}
    facts |= {"campaign": rules.model_dump(mode="json")} if rules else {}
    facts |= {"equal": equal}
    prefix = f"campaigns/{comparisons_of('c')}/batches/{batch}"
    publish(sent.store, prefix, "comparison", files, inputs={}, facts=facts, began=datetime.now(UTC))
    wanted, draw, times = [left, right].index(winner), random.Random(0), Counter[str]()
    rows = []
    for row in key.to_pylist():
        who = copies * int(row["query_id"][1:]) + times[row["query_id"]]
        times[row["query_id"]] += 1
        best = row["shown"].index(1 - wanted if draw.random() < turncoats else wanted)
        who_else = range(people) if everybody else [who % people]
        same = {name: row[name] for name in ("question_id", "content_sha256")} | {"best": best}
        rows += [same | {"labeler_id": f"person {number}"} for number in who_else]
    rows = rows[: round(answered * len(rows))]
    rows += [rows[0] | {"labeler_id": "a guest"}] if guest else []
    if order is not None:
        random.Random(order).shuffle(rows)
    write_table(pa.Table.from_pylist(rows), sent.folder / "said.parquet")
    with tempfile.TemporaryDirectory() as scratch:
        outcome = ingest(sent.store, "c", sent.folder / "said.parquet", Path(scratch), predict=_refuse_to_guess)
    assert outcome.compares and outcome.accepted == len(rows)


def _refuse_to_guess(batch: Publication) -> dict[str, int]:
    raise AssertionError("what a reward model likes is no measure of an evaluation")


def test_peoples_answers_decide_and_no_label_set_reads_them(sent: Round, run: Made, campaign_c: Campaign) -> None:
    evaluation = run("run-1", None)
    before = freeze(sent.store, "c")
    compare(sent, "run-1", "zero-shot", winner="run-1")
    assert freeze(sent.store, "c") == before, "nothing is trained on them"
    assert namespace_of(sent.store, "c", "h001-x") == comparisons_of("c") and namespace_of(sent.store, "c", "b1") == "c"
    if human_results(sent.store, "c")[0].decision != "accept":  # who all agree may be one program; a person looks
        assert preferred_by_people(sent.store, "c", "run-1", "zero-shot") is None
        override(sent.store, namespace_of(sent.store, "c", "h001-x"), "h001-x", "accept", "I know them", None)
    (found,) = human_results(sent.store, "c")
    assert found.contest is not None and found.contest.win_rate.value == 1.0 and found.labelers == 4
    turned = preferred_by_people(sent.store, "c", "zero-shot", "run-1")
    assert turned is not None and turned.win_rate.value == 0.0
    entry = promote_by_hand(sent.store, campaign_c, "run-1", None, "ann", evaluation)
    assert entry is not None and entry["reason"].endswith("by people") and entry["against"] == []
    assert read_manifest(sent.store, "campaigns/c/batches/h001-x") is None


def test_ratings_of_a_comparison_go_by_the_axis_overall_as_in_training() -> None:
    label = Committed(
        "a", "b", "q", "e", None, None, None, None, details={"ratings": '{"accuracy": [7, 1], "overall": [3, 5]}'}
    )
    assert won(label.best_sample, label.details) == 0.0
    assert won(None, {"ratings": '{"accuracy": [7, 1], "coverage": [3, 5]}'}) == 1.0


def test_peoples_answers_to_texts_by_other_rules_decide_nothing(sent: Round, run: Made, campaign_c: Campaign) -> None:
    evaluation, label_set = run("run-1", 0.8), str(freeze(sent.store, "c"))
    compare(sent, "run-1", "zero-shot", winner="zero-shot", rules=campaign_c)
    if human_results(sent.store, "c")[0].decision != "accept":
        override(sent.store, comparisons_of("c"), "h001-x", "accept", "I know them", None)
    longer = campaign_c.model_copy(update={"text": campaign_c.text.model_copy(update={"truncate_after": 3})})
    assert not gate(sent.store, campaign_c, "run-1", label_set, evaluation, None).holds, "people prefer zero-shot"
    assert gate(sent.store, longer, "run-1", label_set, evaluation, None).holds, "of texts that this run never wrote"
    moved, other = (
        campaign_c.model_copy(update={"text": campaign_c.text.model_copy(update={"queries": queries})})
        for queries in ("/elsewhere/a", "speeches")
    )
    assert gate(sent.store, other, "run-1", label_set, evaluation, None).holds, "of other queries"
    assert not moved.text.differing(moved.text.model_copy(update={"queries": "/elsewhere/b"})), "on another machine"


@pytest.mark.slow
@pytest.mark.parametrize("guest", [False, True])
def test_two_people_are_too_few_for_the_gate_and_one_answer_of_a_third_makes_no_third(
    sent: Round, run: Made, campaign_c: Campaign, guest: bool
) -> None:
    evaluation = run("run-1", 0.9)
    compare(sent, "run-1", "zero-shot", winner="run-1", people=2, guest=guest)
    if human_results(sent.store, "c")[0].decision != "accept":
        override(sent.store, comparisons_of("c"), "h001-x", "accept", "I know them", None)
    against = gate(sent.store, campaign_c, "run-1", str(freeze(sent.store, "c")), evaluation, None).against
    assert len(against) == 1 and "only 2 people answered enough questions about it and zero-shot" in against[0]


def test_logs_are_read_once_however_many_comparisons_there_are(sent: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    compare(sent, "run-1", "zero-shot", winner="run-1")
    asked: list[str] = []
    for read in (batch_statuses, deliveries):

        def counted(store: Store, name: str, read: Callable[..., Any] = read) -> Any:
            asked.append(f"{read.__name__} of {name}")
            return read(store, name)

        monkeypatch.setattr(f"data.evaluation.human_evaluation.{read.__name__}", counted)
    (batch,) = human_evaluations(sent.store, "c")
    monkeypatch.setattr("data.evaluation.human_evaluation.batches", lambda store, name: [batch] * 5)
    assert len(human_results(sent.store, "c")) == 5
    assert asked == [f"{what} of {comparisons_of('c')}" for what in ("batch_statuses", "deliveries")]


def test_status_says_what_people_were_asked_and_what_they_said(sent: Round) -> None:
    assert not any("people on" in line for line in status_lines(status_result(sent.store.uri)))
    compare(sent, "run-1", "zero-shot", winner="run-1")
    (line,) = [line for line in status_lines(status_result(sent.store.uri)) if "people on" in line]
    assert line.startswith("  h001-x: people on run-1 compared with zero-shot: ") and (
        "1.000" in line or "on hold" in line
    )


@pytest.mark.parametrize("turncoats", [0.02, 0.2])
def test_people_who_agree_about_systems_are_no_labelers_who_hardly_agree(sent: Round, turncoats: float) -> None:
    compare(sent, "run-1", "zero-shot", winner="run-1", count=200, people=12, copies=3, turncoats=turncoats)
    (found,) = human_results(sent.store, "c")
    assert "agree" not in found.why, "they agree about the systems, whose samples have the same number throughout"
    assert batch_statuses(sent.store, comparisons_of("c"))["h001-x"].decision == found.decision


@pytest.mark.slow
def test_a_comparison_is_not_held_for_being_clearer_than_those_of_other_systems(sent: Round) -> None:
    for number, turncoats in enumerate((0.22, 0.2, 0.21, 0.02), 1):
        asked = partial(compare, sent, f"run-{number}", "zero-shot", winner="zero-shot", count=200, people=12, copies=3)
        asked(turncoats=turncoats, batch=f"h00{number}-x")
        if number < 4:
            assert human_results(sent.store, "c")[-1].decision == "accept"
    assert "not what it was" not in human_results(sent.store, "c")[-1].why


def test_people_who_throw_coins_hardly_agree(sent: Round) -> None:
    compare(sent, "run-1", "zero-shot", winner="run-1", count=200, people=12, copies=3, turncoats=0.5)
    assert "labelers hardly agree" in human_results(sent.store, "c")[0].why


def test_nothing_is_promoted_while_what_people_said_waits(sent: Round, run: Made, campaign_c: Campaign) -> None:
    evaluation, label_set = run("run-1", 0.8), str(freeze(sent.store, "c"))
    compare(sent, "run-1", "zero-shot", winner="zero-shot", answered=0.5)
    assert human_results(sent.store, "c")[0].decision != "accept"
    against = gate(sent.store, campaign_c, "run-1", label_set, evaluation, None).against
    assert len(against) == 1 and against[0].startswith(
        "people's answers that compare it with zero-shot wait for a decision"
    )
    override(sent.store, comparisons_of("c"), "h001-x", "reject", "one program wrote them", None)
    assert gate(sent.store, campaign_c, "run-1", label_set, evaluation, None).holds, "a person threw them out"
    override(sent.store, comparisons_of("c"), "h001-x", "accept", "I know them", None)
    assert not gate(sent.store, campaign_c, "run-1", label_set, evaluation, None).holds, "people prefer zero-shot"


def test_equal_words_are_ties_of_whoever_answered(sent: Round) -> None:
    compare(sent, "run-1", "zero-shot", winner="run-1", count=80, people=8, equal=80)
    override(sent.store, comparisons_of("c"), "h001-x", "accept", "I know them", None)
    (found,) = human_results(sent.store, "c")
    assert found.contest is not None and found.contest.win_rate.value == 0.75 and found.contest.win_rate.n == 160
    assert (found.equal, found.answers, found.labelers) == (80, 80, 8)
    said = preferred_by_people(sent.store, "c", "zero-shot", "run-1")
    assert said is not None and said.win_rate.value == 0.25 and said.labelers == 8


def test_where_everybody_answers_everything_a_tie_is_everybodys_too(sent: Round) -> None:
    compare(sent, "run-1", "zero-shot", winner="run-1", count=40, people=4, equal=20, everybody=True)
    override(sent.store, comparisons_of("c"), "h001-x", "accept", "I know them", None)
    (found,) = human_results(sent.store, "c")
    assert found.contest is not None and found.answers == 160
    assert found.contest.win_rate.value == pytest.approx((40 + 0.5 * 20) / 60)


def test_of_half_the_answers_half_of_the_equal_words_count(sent: Round) -> None:
    compare(sent, "run-1", "zero-shot", winner="run-1", count=80, equal=40, answered=0.5)
    override(sent.store, comparisons_of("c"), "h001-x", "accept", "I know them", None)
    (found,) = human_results(sent.store, "c")
    assert found.contest is not None and found.answers == 40
    assert found.contest.win_rate.value == pytest.approx((40 + 0.5 * 20) / 60)


@pytest.mark.slow
def test_ties_do_not_depend_on_the_order_in_which_answers_came(tmp_path: Path) -> None:
    rates = []
    for order in (None, 1, 2):
        (tmp_path / str(order)).mkdir()
        sent = Round(tmp_path / str(order))
        compare(
            sent,
            "run-1",
            "zero-shot",
            winner="run-1",
            count=100,
            people=8,
            equal=40,
            copies=3,
            overlap=0.15,
            turncoats=0.2,
            order=order,
        )
        override(sent.store, comparisons_of("c"), "h001-x", "accept", "I know them", None)
        (found,) = human_results(sent.store, "c")
        assert found.contest is not None and found.answers == 130
        assert found.contest.win_rate.n == pytest.approx(130 + 40 * 1.3, abs=2), "as often answered as the others"
        rates.append(found.contest.win_rate)
    assert all(rate == pytest.approx(rates[0]) for rate in rates[1:])
