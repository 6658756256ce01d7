"""The gate before the champion: each thing that must hold, what a person may do despite it, and what the log says."""

from pathlib import Path

import pytest

from data.campaign import Campaign
from data.cord.cord import pull, release
from data.errors import Refused, Stopped
from data.evaluation.deciding import evaluation_of
from data.evaluation.gate import decide_by_gate, gate, promote_by_hand, under_champion
from data.evaluation.systems import System, all_systems, other_rules
from data.labels.decisions import batch_statuses, decision_log, override
from data.labels.label_sets import freeze
from data.reports.campaign import report_campaign
from data.reports.evaluation import rule_warnings
from data.rounds.status import RoundState, round_to_decide, round_to_finish, rounds
from data.runs.champion import champion, decisions_about, opponent_of, promotion_log, rollback
from data.store import Store
from data.store.manifest import Publication, publish
from flows.cli.champion import promote_run
from flows.cli.labels import decide
from flows.cli.status import status_lines, status_result
from tasks.labels import labels_are_new
from tasks.promotion import promote_if_better
from tests.support.history import NOW, Made, bound, finished
from tests.support.vendor import Round


def decided(store: Store, campaign: Campaign, evaluation: Publication) -> str:
    """Let the gate decide, and return what the log says of it."""
    name, label_set = evaluation["runs"]["policy"], freeze(store, "c")
    entry = decide_by_gate(store, campaign, name, str(label_set), evaluation)
    return "nothing" if entry is None else f"{entry['kind']}: {entry['reason']}"


def test_the_first_run_has_to_beat_zero_shot_alone(sent: Round, run: Made, campaign_c: Campaign) -> None:
    assert "is not above 0.5: a tie" in decided(sent.store, campaign_c, run("run-1", 0.48))
    assert champion(sent.store, "c") is None
    assert decided(sent.store, campaign_c, run("run-2", 0.51)).startswith("promote: win rate over zero-shot")
    assert champion(sent.store, "c") == "run-2"


def test_the_champion_moves_only_for_a_run_that_beats_it_too(sent: Round, run: Made, campaign_c: Campaign) -> None:
    decided(sent.store, campaign_c, run("run-1", 0.8))
    assert "over the champion run-1" in decided(sent.store, campaign_c, run("run-2", 0.9, "run-1", 0.45))
    assert champion(sent.store, "c") == "run-1", "a tie keeps the champion"
    assert "it was not judged against the champion run-1" in decided(sent.store, campaign_c, run("run-3", 0.9))
    assert decided(sent.store, campaign_c, run("run-4", 0.9, "run-1", 0.55)).startswith("promote")
    assert "it was not judged against the champion run-4" in decided(
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
    kinds = [entry["kind"] for entry in promotion_log(sent.store, "c")]
    assert kinds == ["promote", "keep", "rollback"] and champion(sent.store, "c") is None


def test_a_run_that_was_stopped_before_the_gate_is_decided_about_later(
    sent: Round, run: Made, campaign_c: Campaign
) -> None:
    run("run-1", 0.8)
    uri, pulled = sent.store.uri, pull(sent.store, "looks odd", by="ann")
    with pytest.raises(Stopped):
        promote_if_better.fn(uri, campaign_c, "run-1")
    release(sent.store, pulled.pull, by="ann", reason="it was not")
    assert labels_are_new.fn(uri, "c")
    assert (round_to_decide(sent.store, "c"), round_to_finish(sent.store, "c")) == (1, 2)
    assert rounds(sent.store, "c")[0].state == RoundState.GATE
    assert "the gate" in rounds(sent.store, "c")[0].waits_for
    promote_if_better.fn(uri, campaign_c, "run-1")
    run("run-2", 0.9, "run-1", 0.3)  # another seed's, and never decided about: it holds nothing up
    assert not labels_are_new.fn(uri, "c") and round_to_decide(sent.store, "c") is None
    assert rounds(sent.store, "c")[0].waits_for == "nothing: its policy is champion"


def test_a_run_without_judges_waits_for_a_person(sent: Round, run: Made, campaign_c: Campaign) -> None:
    evaluation = run("run-1", None)
    assert "it was not judged against zero-shot" in decided(sent.store, campaign_c, evaluation)
    with pytest.raises(Refused, match=r"it was not judged against zero-shot.*--reason"):
        promote_by_hand(sent.store, campaign_c, "run-1", None, "ann", evaluation)
    entry = promote_by_hand(sent.store, campaign_c, "run-1", "I read fifty", "ann", evaluation)
    assert entry is not None and (entry["by"], entry["reason"]) == ("ann", "I read fifty")
    assert entry["against"] == ["it was not judged against zero-shot"], "the log says despite what"
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


def test_labels_of_one_labeler_that_no_longer_count_stand_in_the_way(
    sent: Round, run: Made, campaign_c: Campaign
) -> None:
    evaluation, label_set = run("run-1", 0.9), str(freeze(sent.store, "c"))
    names = list(batch_statuses(sent.store, "c")["b1"].weights)
    override(sent.store, "c", "b1", "reject", "a bot", names[0])
    against = gate(sent.store, campaign_c, "run-1", label_set, evaluation, None).against
    assert against == (f"labels of batch b1: those of 1 of its labelers no longer count ({names[0]})",)
    without = str(freeze(sent.store, "c"))
    assert gate(sent.store, campaign_c, "run-1", without, evaluation, None).holds, "of a run that never learned from it"


@pytest.mark.slow
def test_of_a_champion_it_is_said_where_its_labels_no_longer_count(
    campaign: Campaign, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sent, name = Round(tmp_path, campaign.name), campaign.name
    sent.deliver(sent.answers())
    finished(sent, campaign, "run-1", 0.7)
    assert champion(sent.store, name) == "run-1" and under_champion(sent.store, name) == []
    assert "do not count now" not in report_campaign(sent.store, name).path("report.html").read_text()
    decide(name, "b1", "reject", "the vendor used a bot", store=sent.store.uri)
    told = "labels of batch b1: reject (the vendor used a bot)"
    assert told in capsys.readouterr().out and under_champion(sent.store, name) == [told]
    assert any(told in line and "andon rollback" in line for line in status_lines(status_result(sent.store.uri)))
    page = report_campaign(sent.store, name).path("report.html").read_text()
    assert page.index("Champion: <code>run-1") < page.index(told) < page.index("<h2>")


def test_the_rival_is_the_champion_of_the_time_and_its_evaluation_decides(
    sent: Round, run: Made, campaign_c: Campaign
) -> None:
    decided(sent.store, campaign_c, run("run-1", 0.8))
    alone = run("run-2", 0.9)
    assert (
        opponent_of(sent.store, "c", "run-2") == "run-1"
        and evaluation_of(sent.store, "c", "run-2").prefix == alone.prefix
    )
    where = "campaigns/c/runs/run-2/evaluations/later"
    facts = {"runs": {"policy": "run-2", "champion": "run-1"}, "win_rate": bound(0.9), "champion_win_rate": bound(0.6)}
    publish(sent.store, where, "evaluation", {"a": b"a"}, inputs={}, facts=facts, began=NOW)
    later = evaluation_of(sent.store, "c", "run-2")
    assert later.prefix == where
    assert promote_by_hand(sent.store, campaign_c, "run-2", None, "ann", later) is not None
    assert opponent_of(sent.store, "c", "run-2") == "run-1" and opponent_of(sent.store, "c", "run-1") == "run-2"


def test_neither_a_second_try_nor_other_settings_decide(sent: Round, run: Made, campaign_c: Campaign) -> None:
    decided(sent.store, campaign_c, run("run-1", 0.8))
    first = run("run-2", 0.9, "run-1", 0.4)
    facts = first.manifest["facts"] | {"champion_win_rate": bound(0.9)}
    folder = "campaigns/c/runs/run-2/evaluations"
    publish(sent.store, f"{folder}/second-seed", "evaluation", {"a": b"a"}, inputs={}, facts=facts, began=NOW)
    assert evaluation_of(sent.store, "c", "run-2").prefix == first.prefix, "the first one beside this champion"
    promote_if_better.fn(sent.store.uri, campaign_c, "run-2")
    assert promotion_log(sent.store, "c")[-1]["evaluation"] == first.prefix
    alone = run("run-3", 0.9)
    facts = {"runs": {"policy": "run-3", "champion": "run-1"}, "win_rate": bound(0.9), "champion_win_rate": bound(0.9)}
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
    assert opponent_of(sent.store, "c", "run-1") == "run-2"
    where = "campaigns/c/runs/run-1/evaluations/later"
    facts = {"runs": {"policy": "run-1", "champion": "run-2"}, "win_rate": bound(0.9), "champion_win_rate": bound(0.6)}
    publish(sent.store, where, "evaluation", {"a": b"a"}, inputs={}, facts=facts, began=NOW)
    evaluation = evaluation_of(sent.store, "c", "run-1")
    assert promote_by_hand(sent.store, campaign_c, "run-1", None, "ann", evaluation) is not None
    said = [(each["kind"], each["run"]) for each in decisions_about(promotion_log(sent.store, "c"), "run-1")]
    assert said == [("promote", "run-1"), ("rollback", None), ("promote", "run-1")], "and nothing about others"


def test_a_reason_is_said_or_left_out_and_never_empty(sent: Round, run: Made, campaign_c: Campaign) -> None:
    evaluation = run("run-1", 0.4)
    with pytest.raises(Refused, match="needs a reason"):
        promote_by_hand(sent.store, campaign_c, "run-1", " ", "ann", evaluation)
    assert promote_by_hand(sent.store, campaign_c, "run-1", "we ship", "ann", evaluation) is not None
    with pytest.raises(Refused, match="needs a reason"):
        rollback(sent.store, "c", "", "ann")
    assert champion(sent.store, "c") == "run-1"


def test_policies_that_are_asked_by_other_rules_are_named(sent: Round, campaign_c: Campaign) -> None:
    facts = {"run": "run-1", "campaign": campaign_c.model_dump(mode="json")}
    publish(sent.store, "campaigns/c/runs/run-1", "run", {"b": b""}, inputs={}, facts=facts, began=NOW)
    asked = [System("rl", "model", "run-1", "campaigns/c/runs/run-1/policy"), System("best-of-2", "best of", "run-1")]
    assert other_rules(sent.store, campaign_c, asked) == {}
    longer = campaign_c.model_copy(update={"text": campaign_c.text.model_copy(update={"truncate_after": 3})})
    assert other_rules(sent.store, longer, asked) == {"rl": ["truncate_after"]}
    (line,) = rule_warnings(other_rules(sent.store, longer, asked))
    assert line.startswith("rl was trained with other text settings than in this evaluation: truncate_after")


@pytest.mark.slow
def test_by_hand_too_the_bar_is_that_of_the_runs_own_settings(
    campaign: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, name = Round(tmp_path, campaign.name), campaign.name
    sent.deliver(sent.answers())
    finished(sent, campaign, "run-1", 0.55)
    rollback(sent.store, name, "to do it by hand", "ann")
    stricter = campaign.model_copy(update={"promotion": campaign.promotion.model_copy(update={"win_rate_above": 0.9})})
    monkeypatch.setattr("flows.cli.champion.load_campaign", lambda _: stricter)
    promote_run(name, "run-1", None, "ann", sent.store.uri, True)
    assert champion(sent.store, name) == "run-1" and promotion_log(sent.store, name)[-1]["against"] == []


def test_who_decided_about_labels_is_recorded(sent: Round) -> None:
    sent.deliver(sent.answers())
    override(sent.store, "c", "b1", "reject", "they were bots", None, "ann")
    assert [entry["by"] for entry in decision_log(sent.store, "c") if entry["kind"] == "override"] == ["ann"]


def test_no_name_or_reason_is_too_strange_for_a_log(sent: Round) -> None:
    sent.deliver(sent.answers())
    override(sent.store, "c", "b1", "reject", "M\udcfcller's bots", None, "M\udcfcller")  # what a Latin-1 shell gives
    assert batch_statuses(sent.store, "c")["b1"].why == "M?ller's bots"


def test_the_champion_has_a_round_of_its_own(sent: Round, run: Made, campaign_c: Campaign) -> None:
    decided(sent.store, campaign_c, run("run-1", 0.8))
    decided(sent.store, campaign_c, run("run-2", 0.9, "run-1", 0.3))
    (only,) = rounds(sent.store, "c")
    assert (only.run, only.waits_for) == ("run-1", "nothing: its policy is champion")


def test_a_damaged_run_is_no_system_that_is_not_there_yet(sent: Round, run: Made, campaign_c: Campaign) -> None:
    run("run-1", 0.8)
    (sent.store.root / "campaigns/c/runs/run-1/manifest.json").write_bytes(b"{")
    with pytest.raises(Refused, match="run-1"):
        all_systems(sent.store, campaign_c)
