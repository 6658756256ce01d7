"""The gate before the champion: each thing that must hold, what a person may do despite it, and what the log says."""

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from data.batch import Question, Sample, blind, write_parts, write_table
from data.campaign import Campaign
from data.committed import Committed
from data.comparisons import _won, comparisons, preferred_by_people, results
from data.cord import Stopped, pull, release
from data.decisions import history as decisions
from data.decisions import override, standings
from data.evaluation_report import told_apart
from data.ingesting import ingest
from data.label_sets import freeze
from data.labels import deliveries, shelf_of
from data.promotion_gate import decide_by_gate, evaluation_of, gate, promote_by_hand
from data.promotions import about, champion, history, rival, rollback
from data.publication import Publication, publish, read_manifest
from data.refused import Refused
from data.rounds import round_to_decide, round_to_finish, rounds
from data.shelves import comparisons_of
from data.store import Store
from data.systems import System, all_systems, other_rules
from flows.inspection import promote_run
from flows.summary import status_lines, status_result
from tasks.labels import labels_are_new
from tasks.promotion import promote_if_better
from tests.told import finished
from tests.vendor import Round

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Made = Callable[..., Publication]


def rate(low: float) -> dict[str, float]:
    return {"value": (low + 1) / 2, "low": low, "high": 1.0, "n": 500}


@pytest.fixture
def campaign_c(campaign: Campaign) -> Campaign:
    return campaign.model_copy(update={"name": "c"})


@pytest.fixture
def run(sent: Round) -> Made:
    """Publish a run on accepted labels, with the lower bounds of its win rates, and return its evaluation."""
    sent.deliver(sent.answers())
    label_set = freeze(sent.store, "c")

    def made(name: str, low: float | None, beside: str | None = None, champion_low: float = 0.0) -> Publication:
        prefix = f"campaigns/c/runs/{name}"
        facts = {
            "runs": {"policy": name} | ({"champion": beside} if beside else {}),
            "win_rate": None if low is None else rate(low),
            "champion_win_rate": rate(champion_low) if beside else None,
        }
        where = f"{prefix}/evaluations/{beside or 'alone'}"
        evaluation = publish(sent.store, where, "evaluation", {"a": b"a"}, inputs={}, facts=facts, began=NOW)
        inputs, about = (
            {"evaluation": where},
            {"run": name, "label_set": label_set, "round": 1, "base": "b", "win_rate": None},
        )
        publish(sent.store, prefix, "run", {"b": b"b"}, inputs=inputs, facts=about, began=NOW)
        return evaluation

    return made


def decided(store: Store, campaign: Campaign, evaluation: Publication) -> str:
    """Let the gate decide, and return what the log says of it."""
    name, label_set = evaluation["runs"]["policy"], freeze(store, "c")
    entry = decide_by_gate(store, campaign, name, str(label_set), evaluation)
    return "nothing" if entry is None else f"{entry['kind']}: {entry['reason']}"


def test_the_first_run_has_to_beat_zero_shot_alone(sent: Round, run: Made, campaign_c: Campaign) -> None:
    assert "does not clear 0.5: a tie" in decided(sent.store, campaign_c, run("run-1", 0.48))
    assert champion(sent.store, "c") is None
    assert decided(sent.store, campaign_c, run("run-2", 0.51)).startswith("promote: win rate over zero-shot")
    assert champion(sent.store, "c") == "run-2"


def test_the_champion_moves_only_for_a_run_that_beats_it_too(sent: Round, run: Made, campaign_c: Campaign) -> None:
    decided(sent.store, campaign_c, run("run-1", 0.8))
    assert "over the champion run-1" in decided(sent.store, campaign_c, run("run-2", 0.9, "run-1", 0.45))
    assert champion(sent.store, "c") == "run-1", "a tie keeps the champion"
    assert "nobody judged it beside the champion run-1" in decided(sent.store, campaign_c, run("run-3", 0.9))
    assert decided(sent.store, campaign_c, run("run-4", 0.9, "run-1", 0.55)).startswith("promote")
    assert "nobody judged it beside the champion run-4" in decided(
        sent.store, campaign_c, run("run-5", 0.9, "run-1", 0.9)
    ), "a win over an earlier champion is none over this one"


def test_what_was_decided_is_not_decided_again(sent: Round, run: Made, campaign_c: Campaign) -> None:
    first = run("run-1", 0.8)
    decided(sent.store, campaign_c, first)
    worse = run("run-2", 0.9, "run-1", 0.3)
    assert decided(sent.store, campaign_c, worse).startswith("keep")
    assert decided(sent.store, campaign_c, worse) == "nothing"
    rollback(sent.store, "c", "worse to read", "ann")
    assert decided(sent.store, campaign_c, first) == "nothing", "a rolled back run is not promoted again by itself"
    kinds = [entry["kind"] for entry in history(sent.store, "c")]
    assert kinds == ["promote", "keep", "rollback"] and champion(sent.store, "c") is None


def test_a_run_that_was_stopped_before_the_gate_is_decided_about_later(
    sent: Round, run: Made, campaign_c: Campaign
) -> None:
    measured, uri = run("run-1", 0.8), sent.store.uri
    pulled = pull(sent.store, "looks odd", by="ann")
    with pytest.raises(Stopped):
        promote_if_better.fn(uri, campaign_c, "run-1", measured.prefix)
    release(sent.store, pulled.pull, by="ann", reason="it was not")
    assert labels_are_new.fn(uri, "c")
    assert (round_to_decide(sent.store, "c"), round_to_finish(sent.store, "c")) == (1, 2)
    assert "the gate" in rounds(sent.store, "c")[0].waits_for
    promote_if_better.fn(uri, campaign_c, "run-1", measured.prefix)
    run("run-2", 0.9, "run-1", 0.3)  # another seed's, and never decided about: it holds nothing up
    assert not labels_are_new.fn(uri, "c") and round_to_decide(sent.store, "c") is None
    assert rounds(sent.store, "c")[0].waits_for == "nothing: its policy is champion"


def test_a_run_without_judges_waits_for_a_person(sent: Round, run: Made, campaign_c: Campaign) -> None:
    evaluation = run("run-1", None)
    assert "nobody judged it beside zero-shot" in decided(sent.store, campaign_c, evaluation)
    with pytest.raises(Refused, match=r"nobody judged it beside zero-shot.*--reason"):
        promote_by_hand(sent.store, campaign_c, "run-1", None, "ann", evaluation)
    entry = promote_by_hand(sent.store, campaign_c, "run-1", "I read fifty", "ann", evaluation)
    assert entry is not None and (entry["by"], entry["reason"]) == ("ann", "I read fifty")
    assert entry["against"] == ["nobody judged it beside zero-shot"], "the log says despite what"
    assert promote_by_hand(sent.store, campaign_c, "run-1", "again", "ann", evaluation) is None


def test_nothing_is_promoted_while_pulled_not_even_by_hand(sent: Round, run: Made, campaign_c: Campaign) -> None:
    evaluation = run("run-1", 0.9)
    made = pull(sent.store, "KL jumped", by="sentinel kl", scope="run:run-1")
    with pytest.raises(Stopped, match="KL jumped"):
        decided(sent.store, campaign_c, evaluation)
    with pytest.raises(Stopped, match="KL jumped"):
        promote_by_hand(sent.store, campaign_c, "run-1", "never mind", "ann", evaluation)
    against = gate(sent.store, campaign_c, "run-1", str(freeze(sent.store, "c")), evaluation, None).against
    assert len(against) == 1 and made.pull in against[0]
    release(sent.store, made.pull, by="ann", reason="a quotation")
    assert decided(sent.store, campaign_c, evaluation).startswith("promote")


def test_labels_that_no_longer_count_stand_in_the_way(sent: Round, run: Made, campaign_c: Campaign) -> None:
    evaluation = run("run-1", 0.9)
    label_set = str(freeze(sent.store, "c"))
    override(sent.store, "c", "b1", "reject", "they were bots", None)
    entry = decide_by_gate(sent.store, campaign_c, "run-1", label_set, evaluation)
    assert entry is not None and "labels of batch b1: reject (they were bots)" in entry["reason"]
    forced = promote_by_hand(sent.store, campaign_c, "run-1", "only a few were", "ann", evaluation)
    assert forced is not None and "they were bots" in forced["against"][0]


def test_the_rival_is_the_champion_of_the_time_and_its_evaluation_decides(
    sent: Round, run: Made, campaign_c: Campaign
) -> None:
    decided(sent.store, campaign_c, run("run-1", 0.8))
    alone = run("run-2", 0.9)
    assert rival(sent.store, "c", "run-2") == "run-1" and evaluation_of(sent.store, "c", "run-2").prefix == alone.prefix
    where = "campaigns/c/runs/run-2/evaluations/later"
    facts = {"runs": {"policy": "run-2", "champion": "run-1"}, "win_rate": rate(0.9), "champion_win_rate": rate(0.6)}
    publish(sent.store, where, "evaluation", {"a": b"a"}, inputs={}, facts=facts, began=NOW)
    later = evaluation_of(sent.store, "c", "run-2")
    assert later.prefix == where
    assert promote_by_hand(sent.store, campaign_c, "run-2", None, "ann", later) is not None
    assert rival(sent.store, "c", "run-2") == "run-1" and rival(sent.store, "c", "run-1") == "run-2"


def test_neither_a_second_try_nor_other_settings_decide(sent: Round, run: Made, campaign_c: Campaign) -> None:
    decided(sent.store, campaign_c, run("run-1", 0.8))
    first = run("run-2", 0.9, "run-1", 0.4)
    facts = first.manifest["facts"] | {"champion_win_rate": rate(0.9)}
    folder = "campaigns/c/runs/run-2/evaluations"
    publish(sent.store, f"{folder}/second-seed", "evaluation", {"a": b"a"}, inputs={}, facts=facts, began=NOW)
    assert evaluation_of(sent.store, "c", "run-2").prefix == first.prefix, "the first one beside this champion"
    alone = run("run-3", 0.9)
    facts = {"runs": {"policy": "run-3", "champion": "run-1"}, "win_rate": rate(0.9), "champion_win_rate": rate(0.9)}
    folder = "campaigns/c/runs/run-3/evaluations"
    other = facts | {"rules": "eight queries"}
    publish(sent.store, f"{folder}/small", "evaluation", {"a": b"a"}, inputs={}, facts=other, began=NOW)
    assert evaluation_of(sent.store, "c", "run-3").prefix == alone.prefix
    publish(sent.store, f"{folder}/whole", "evaluation", {"a": b"a"}, inputs={}, facts=facts, began=NOW)
    assert evaluation_of(sent.store, "c", "run-3").prefix == f"{folder}/whole"


def test_who_was_rolled_back_may_pass_the_gate_against_a_later_champion(
    sent: Round, run: Made, campaign_c: Campaign
) -> None:
    decided(sent.store, campaign_c, run("run-1", 0.8))
    rollback(sent.store, "c", "it repeats itself", "ann")
    decided(sent.store, campaign_c, run("run-2", 0.8))
    assert rival(sent.store, "c", "run-1") == "run-2"
    where = "campaigns/c/runs/run-1/evaluations/later"
    facts = {"runs": {"policy": "run-1", "champion": "run-2"}, "win_rate": rate(0.9), "champion_win_rate": rate(0.6)}
    publish(sent.store, where, "evaluation", {"a": b"a"}, inputs={}, facts=facts, began=NOW)
    evaluation = evaluation_of(sent.store, "c", "run-1")
    assert promote_by_hand(sent.store, campaign_c, "run-1", None, "ann", evaluation) is not None
    said = [(each["kind"], each["run"]) for each in about(history(sent.store, "c"), "run-1")]
    assert said == [("promote", "run-1"), ("rollback", None), ("promote", "run-1")], "and nothing about others"


def test_a_reason_is_said_or_left_out_and_never_empty(sent: Round, run: Made, campaign_c: Campaign) -> None:
    evaluation = run("run-1", 0.4)
    with pytest.raises(Refused, match="needs a reason"):
        promote_by_hand(sent.store, campaign_c, "run-1", " ", "ann", evaluation)
    assert promote_by_hand(sent.store, campaign_c, "run-1", "we ship", "ann", evaluation) is not None
    with pytest.raises(Refused, match="needs a reason"):
        rollback(sent.store, "c", "", "ann")
    assert champion(sent.store, "c") == "run-1"


def compare(
    sent: Round, left: str, right: str, winner: str, count: int = 80, people: int = 4, rules: Campaign | None = None
) -> None:
    """Ask some people which of two systems is better, and let all of them prefer one."""
    samples = (Sample("the one", [], left), Sample("the other text", [], right))
    asked = [Question(f"t{n}", f"query {n}", [], samples) for n in range(count)]
    vendor, key = blind(asked, "Which?", b"another secret")
    write_table(key, sent.folder / "compared.parquet")
    files: dict[str, Path | bytes] = dict(write_parts(vendor, sent.folder))
    files["key/samples.parquet"] = sent.folder / "compared.parquet"
    facts: dict[str, Any] = {"batch": "h001-x", "round": 1, "questions": count, "systems": [left, right]}
    facts |= {"campaign": rules.model_dump(mode="json")} if rules else {}
    prefix = f"campaigns/{comparisons_of('c')}/batches/h001-x"
    publish(sent.store, prefix, "comparison", files, inputs={}, facts=facts, began=datetime.now(UTC))
    wanted = [left, right].index(winner)
    rows = [
        {n: row[n] for n in ("question_id", "content_sha256")}
        | {"labeler_id": f"person {number % people}", "best": row["shown"].index(wanted)}
        for number, row in enumerate(key.to_pylist())
    ]
    write_table(pa.Table.from_pylist(rows), sent.folder / "said.parquet")
    with tempfile.TemporaryDirectory() as scratch:
        outcome = ingest(sent.store, "c", sent.folder / "said.parquet", Path(scratch), predict=_refuse_to_guess)
    assert outcome.compares and outcome.accepted == count


def _refuse_to_guess(batch: Publication) -> dict[str, int]:
    raise AssertionError("what a reward model likes is no measure of an evaluation")


def test_peoples_answers_decide_and_no_label_set_reads_them(sent: Round, run: Made, campaign_c: Campaign) -> None:
    evaluation = run("run-1", None)
    before = freeze(sent.store, "c")
    compare(sent, "run-1", "zero-shot", winner="run-1")
    assert freeze(sent.store, "c") == before, "nothing is trained on them"
    assert shelf_of(sent.store, "c", "h001-x") == comparisons_of("c") and shelf_of(sent.store, "c", "b1") == "c"
    if results(sent.store, "c")[0].decision != "accept":  # who all agree may be one program; a person looks
        assert preferred_by_people(sent.store, "c", "run-1", "zero-shot") is None
        override(sent.store, shelf_of(sent.store, "c", "h001-x"), "h001-x", "accept", "I know them", None)
    (found,) = results(sent.store, "c")
    assert found.contest is not None and found.contest.win_rate.value == 1.0 and found.labelers == 4
    turned = preferred_by_people(sent.store, "c", "zero-shot", "run-1")
    assert turned is not None and turned.win_rate.value == 0.0
    entry = promote_by_hand(sent.store, campaign_c, "run-1", None, "ann", evaluation)
    assert entry is not None and entry["reason"].endswith("by people") and entry["against"] == []
    assert read_manifest(sent.store, "campaigns/c/batches/h001-x") is None


def test_ratings_of_a_comparison_go_by_the_axis_overall_as_in_training() -> None:
    label = Committed("a", "b", "q", "e", None, None, None, None, ratings='{"accuracy": [7, 1], "overall": [3, 5]}')
    assert _won(label) == 0.0
    assert _won(label._replace(ratings='{"accuracy": [7, 1], "coverage": [3, 5]}')) == 1.0


def test_peoples_answers_to_texts_by_other_rules_decide_nothing(sent: Round, run: Made, campaign_c: Campaign) -> None:
    evaluation, label_set = run("run-1", 0.8), str(freeze(sent.store, "c"))
    compare(sent, "run-1", "zero-shot", winner="zero-shot", rules=campaign_c)
    if results(sent.store, "c")[0].decision != "accept":
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


def test_policies_that_are_asked_by_other_rules_are_named(sent: Round, campaign_c: Campaign) -> None:
    facts = {"run": "run-1", "campaign": campaign_c.model_dump(mode="json")}
    publish(sent.store, "campaigns/c/runs/run-1", "run", {"b": b""}, inputs={}, facts=facts, began=NOW)
    asked = [System("rl", "model", "run-1", "campaigns/c/runs/run-1/policy"), System("best-of-2", "best of", "run-1")]
    assert other_rules(sent.store, campaign_c, asked) == {}
    longer = campaign_c.model_copy(update={"text": campaign_c.text.model_copy(update={"truncate_after": 3})})
    assert other_rules(sent.store, longer, asked) == {"rl": ["truncate_after"]}
    (line,) = told_apart(other_rules(sent.store, longer, asked))
    assert line.startswith("rl was trained with another truncate_after")


def test_by_hand_too_the_bar_is_that_of_the_runs_own_settings(
    campaign: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, name = Round(tmp_path, campaign.name), campaign.name
    sent.deliver(sent.answers())
    finished(sent, campaign, "run-1", 0.55)
    rollback(sent.store, name, "to do it by hand", "ann")
    stricter = campaign.model_copy(update={"promotion": campaign.promotion.model_copy(update={"win_rate_above": 0.9})})
    monkeypatch.setattr("flows.inspection.load_campaign", lambda _: stricter)
    promote_run(name, "run-1", None, "ann", sent.store.uri, True)
    assert champion(sent.store, name) == "run-1" and history(sent.store, name)[-1]["against"] == []


def test_who_decided_about_labels_is_recorded(sent: Round) -> None:
    sent.deliver(sent.answers())
    override(sent.store, "c", "b1", "reject", "they were bots", None, "ann")
    assert [entry["by"] for entry in decisions(sent.store, "c") if entry["kind"] == "override"] == ["ann"]


def test_the_champion_has_a_round_of_its_own(sent: Round, run: Made, campaign_c: Campaign) -> None:
    decided(sent.store, campaign_c, run("run-1", 0.8))
    decided(sent.store, campaign_c, run("run-2", 0.9, "run-1", 0.3))
    (only,) = rounds(sent.store, "c")
    assert (only.run, only.waits_for) == ("run-1", "nothing: its policy is champion")


def test_two_people_are_too_few_for_the_gate(sent: Round, run: Made, campaign_c: Campaign) -> None:
    evaluation = run("run-1", 0.9)
    compare(sent, "run-1", "zero-shot", winner="run-1", people=2)
    if results(sent.store, "c")[0].decision != "accept":
        override(sent.store, comparisons_of("c"), "h001-x", "accept", "I know them", None)
    against = gate(sent.store, campaign_c, "run-1", str(freeze(sent.store, "c")), evaluation, None).against
    assert len(against) == 1 and "only 2 people judged it beside zero-shot" in against[0]


def test_a_damaged_run_is_no_system_that_is_not_there_yet(sent: Round, run: Made, campaign_c: Campaign) -> None:
    run("run-1", 0.8)
    (sent.store.root / "campaigns/c/runs/run-1/manifest.json").write_bytes(b"{")
    with pytest.raises(Refused, match="run-1"):
        all_systems(sent.store, campaign_c)


def test_logs_are_read_once_however_many_comparisons_there_are(sent: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    compare(sent, "run-1", "zero-shot", winner="run-1")
    asked: list[str] = []
    for read in (standings, deliveries):

        def counted(store: Store, name: str, read: Callable[..., Any] = read) -> Any:
            asked.append(f"{read.__name__} of {name}")
            return read(store, name)

        monkeypatch.setattr(f"data.comparisons.{read.__name__}", counted)
    (batch,) = comparisons(sent.store, "c")
    monkeypatch.setattr("data.comparisons.batches", lambda store, name: [batch] * 5)
    assert len(results(sent.store, "c")) == 5
    assert asked == [f"{what} of {comparisons_of('c')}" for what in ("standings", "deliveries")]


def test_status_says_what_people_were_asked_and_what_they_said(sent: Round) -> None:
    assert not any("people on" in line for line in status_lines(status_result(sent.store.uri)))
    compare(sent, "run-1", "zero-shot", winner="run-1")
    (line,) = [line for line in status_lines(status_result(sent.store.uri)) if "people on" in line]
    assert line.startswith("  h001-x: people on run-1 beside zero-shot: ") and ("1.000" in line or "on hold" in line)
