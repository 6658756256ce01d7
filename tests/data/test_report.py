"""The reports of a run and of a campaign: whole in itself, the decision on top, and text of models stays text."""

import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from data.campaign import Campaign
from data.campaign.settings import Supervised
from data.cord import cord
from data.evaluation.deciding import evaluation_of
from data.evaluation.gate import GateCode, Objection, Verdict, promote_by_hand
from data.measures.agreement import PairAgreement
from data.measures.intervals import proportion
from data.quality.scorecard import scorecards
from data.render import charts
from data.render.highlight import marked
from data.reports.campaign import costs, report_campaign
from data.reports.edition import DATA, edition
from data.reports.evaluation import matrix, table
from data.reports.run import report_run, run_report
from data.rounds.lineage import lineage
from data.rounds.status import rounds
from data.runs.champion import rollback
from data.runs.stops import record_stop
from data.store.manifest import publish
from models.card import model_card
from tests.support.history import NOW, finished, gathered, rate
from tests.support.vendor import Round


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def page_of(campaign: Campaign, low: float | None, text: str = "A fine day.") -> str:
    """The report of a run whose win rate has this lower bound, or that nobody judged."""
    passed = low is not None and low > 0.5
    against = Objection(GateCode.BELOW_BAR, "zero-shot", "it does not win")
    verdict = Verdict(passed, ("it wins",) if passed else (), () if passed else (against,))
    made = gathered(campaign, None if low is None else rate(0.75, low), text)
    return run_report(campaign, made._replace(verdict=verdict))


def test_it_needs_nothing_from_elsewhere(campaign: Campaign) -> None:
    tags = Tags()
    tags.feed(page_of(campaign, 0.7))
    names = {name for name, _ in tags.found}
    assert "svg" in names and not names & {"script", "link", "iframe", "img"}
    for _, attributes in tags.found:
        for name in ("src", "href", "xlink:href"):
            assert not (attributes.get(name) or "#").startswith(("http", "/", "file"))


def test_text_of_models_stays_text(campaign: Campaign) -> None:
    page = page_of(campaign, None, text="<script>alert(1)</script><img src=x onerror=alert(1)>")
    assert "<script>" not in page and "<img" not in page and "&lt;script&gt;" in page


@pytest.mark.parametrize(("low", "words"), [(0.7, "The gate holds"), (0.45, "The gate does not hold")])
def test_the_decision_is_on_top_with_its_reasons(campaign: Campaign, low: float, words: str) -> None:
    page = page_of(campaign, low)
    reason = "For: it wins" if low > 0.5 else "Against: it does not win"
    assert words in page and page.index(words) < page.index(reason) < page.index("<svg")
    assert "Not judged" in page_of(campaign, None)


def test_equal_facts_give_equal_pages(campaign: Campaign) -> None:
    page = page_of(campaign, None)
    assert charts.DRAWN, "what was drawn is kept"
    charts.DRAWN.clear()
    assert page_of(campaign, None) == page, "drawn anew"


def test_a_chart_is_drawn_again_for_other_data_and_only_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "KEPT", 5)
    charts.DRAWN.clear()
    whole = [charts.line([0, 1], [0.5, 0.25], title=title, x_label="x") for title in ("a", "b", "a")]
    assert whole[0] == whole[2] != whole[1] and len(charts.DRAWN) == 2
    assert charts.line([0, 1], [0.5, 0.125], title="a", x_label="x") != whole[0]
    for number in range(9):
        assert charts.bars({"a": float(number)}, title="a") and len(charts.DRAWN) <= 5


def test_what_began_with_references_says_from_where_its_divergence_is(campaign: Campaign) -> None:
    made = gathered(campaign, rate(0.75, 0.7))
    tuned = campaign.model_copy(update={"supervised": Supervised(batch=4, lr=1e-3)})
    page, other = run_report(campaign, made), run_report(tuned, made)
    assert "noise ceiling" not in page
    assert "noise ceiling 0.683" in run_report(campaign, made._replace(agreed=PairAgreement(proportion(50, 100), 4)))
    assert "KL from the base, nats" in page and "systems and the training" in page
    assert "KL from its start, nats" in other and "way</" not in other
    assert "after fine-tuning on references" in model_card(tuned, "run-1", 3.0)
    assert f"from `{campaign.base}` with PPO" in model_card(campaign, "run-1", 3.0)


@pytest.mark.slow
def test_an_override_is_said_before_anything_else_in_both_reports(campaign: Campaign, tmp_path: Path) -> None:
    sent = Round(tmp_path, campaign.name)
    sent.deliver(sent.answers())
    finished(sent, campaign, "run-1", 0.7)
    finished(sent, campaign, "run-2", 0.4, "run-1")
    before = report_run(sent.store, campaign.name, "run-2")
    said = before.path("report.html").read_text()
    assert "The gate does not hold" in said and "a tie" in said and "not promoted by the gate" in said
    assert report_run(sent.store, campaign.name, "run-2").prefix == before.prefix, "the same state, the same report"
    evaluation = evaluation_of(sent.store, campaign.name, "run-2")
    promote_by_hand(sent.store, campaign, "run-2", "we ship today", "ann", evaluation)
    page = report_run(sent.store, campaign.name, "run-2").path("report.html").read_text()
    assert page.index("Promoted by ann, despite the gate") < page.index("we ship today") < page.index("Against:")
    whole = report_campaign(sent.store, campaign.name).path("report.html").read_text()
    assert whole.index("Champion: <code>run-2") < whole.index("despite the gate: we ship today") < whole.index("a tie")
    assert "run-1" in whole and "Origin of the champion" in whole and "<svg" in whole


@pytest.mark.slow
def test_reports_say_what_holds_now(campaign: Campaign, tmp_path: Path) -> None:
    sent = Round(tmp_path, campaign.name)
    sent.deliver(sent.answers())
    finished(sent, campaign, "run-1", 0.7)
    finished(sent, campaign, "run-2", 0.4, "run-1")

    def page(run: str) -> str:
        return report_run(sent.store, campaign.name, run).path("report.html").read_text()

    assert "The gate holds.</strong> It is champion." in page("run-1")
    assert "not promoted" not in page("run-1"), "that was run-2"
    made = cord.pull(sent.store, "they mumble", by="ann", scope="run:run-1")
    assert "they mumble" in page("run-1") and "is open" in page("run-1")
    cord.release(sent.store, made.pull, by="ann", reason="a cold")
    assert "is open" not in page("run-1")
    evaluation = evaluation_of(sent.store, campaign.name, "run-2")
    promote_by_hand(sent.store, campaign, "run-2", "we ship today", "ann", evaluation)
    assert "It was champion earlier, but is not now." in page("run-1") and "was champion" not in page("run-2")
    rollback(sent.store, campaign.name, "we do not", "ann")
    said = page("run-2")
    assert "Promoted by ann, despite the gate" not in said and "rolled back by ann" in said
    assert said.index("<strong>Rolled back by ann.</strong> Reason given: we do not") < said.index("<h2>")
    assert "rolled back" not in page("run-1"), "run-1 is champion again, by what was done to run-2"


@pytest.mark.slow
def test_a_runs_labels_are_told_beside_what_its_batch_has_by_now(campaign: Campaign, tmp_path: Path) -> None:
    sent = Round(tmp_path, campaign.name)
    answers = sent.answers()
    sent.deliver(answers[:-60])
    finished(sent, campaign, "run-1", 0.7)
    sent.deliver(answers[-60:])
    page = report_run(sent.store, campaign.name, "run-1").path("report.html").read_text()
    assert f"<td>unnamed</td><td>{len(answers) - 60:,}</td><td>{len(answers):,}</td>" in page


@pytest.mark.slow
def test_of_summaries_both_reports_show_where_they_copy_from(campaign: Campaign, tmp_path: Path) -> None:
    summaries = campaign.model_copy(update={"text": campaign.text.model_copy(update={"suffix": "TL;DR:"})})
    for name, asked in (("summaries", summaries), ("stories", campaign)):
        sent = Round(tmp_path / name, name)
        sent.deliver(sent.answers())
        finished(sent, asked.model_copy(update={"name": name}), "run-1", 0.7)
        for page in (report_run(sent.store, name, "run-1"), report_campaign(sent.store, name)):
            assert ("policy copies from" in page.path("report.html").read_text()) == (name == "summaries")


@pytest.mark.slow
def test_a_pull_of_everything_is_told_while_it_is_open_and_after(campaign: Campaign, tmp_path: Path) -> None:
    sent = Round(tmp_path, campaign.name)
    sent.deliver(sent.answers())
    finished(sent, campaign, "run-1", 0.7)
    cord.pull(sent.store, "another campaign", by="ann", scope="campaign:other")
    early = cord.pull(sent.store, "its gold check", by="a sentinel", scope="run:run-1")
    cord.release(sent.store, early.pull, by="bob", reason="a typo")
    made = cord.pull(sent.store, "they praise murder", by="ann")
    record_stop(sent.store, campaign.name, "run-1", "policy", 3, [made.pull])
    sent.store.put_new(f"campaigns/{campaign.name}/runs/run-9/stops/x", b"")
    cord.pull(sent.store, "it diverges", by="a sentinel", scope="run:run-9")

    def pages() -> list[str]:
        both = report_run(sent.store, campaign.name, "run-1"), report_campaign(sent.store, campaign.name)
        return [published.path("report.html").read_text() for published in both]

    for page in pages():
        assert "they praise murder" in page and "Neither a person nor" not in page and "another campaign" not in page
    assert "it diverges" not in pages()[0] and pages()[1].count("it diverges") == 2, "on top, and among the pulls"
    cord.release(sent.store, made.pull, by="bob", reason="a quotation")
    later = cord.pull(sent.store, "of no concern to it", by="ann")
    cord.release(sent.store, later.pull, by="ann", reason="it ended before")
    for page in pages():
        assert "they praise murder" in page and "bob: a quotation" in page and "its gold check" in page
    assert "of no concern" not in pages()[0] and "of no concern" in pages()[1]


def test_a_champion_in_a_table_is_the_one_of_that_day(campaign: Campaign, tmp_path: Path) -> None:
    made: Any = gathered(campaign, rate(0.75, 0.7)).evaluation
    then: Any = {"systems": ["zero-shot", "champion"], "runs": {"champion": "run-x8afc6a9bb0"}}
    then |= {
        name: {"champion": made[name]["policy"], "zero-shot": made[name]["zero-shot"]} for name in ("texts", "scores")
    }
    contests = [each | {"right": "champion"} for each in made["contests"]]
    facts: Any = dict(made, **then, contests=contests)
    rows = table(facts)
    assert [row["system"] for row in rows] == ["zero-shot", "champion run-x8afc6a9"] and rows[1]["over zero-shot"]
    assert matrix(facts)[1][0] == "champion run-x8afc6a9"


def test_money_of_two_currencies_is_not_added_up(campaign: Campaign, tmp_path: Path) -> None:
    sent = Round(tmp_path, "c")
    sent.deliver(sent.answers())
    (card,) = scorecards(sent.store, "c", price=0.5)
    dollars = card._replace(currency="USD", cost=18.0)
    cards = [dollars, dollars, card._replace(currency="JPY", cost=18_000.0), card._replace(cost=0.0)]
    assert costs(cards, lambda each: each.currency) == {"USD": 36.0, "JPY": 18_000.0}


def test_a_campaign_is_told_before_it_has_any_run(sent: Round) -> None:
    page = report_campaign(sent.store, "c").path("report.html").read_text()
    assert "No champion: the next round samples from the base." in page and "labels" in page
    sent.deliver(sent.answers())
    later = report_campaign(sent.store, "c").path("report.html").read_text()
    assert "a retrain" in later and later != page


def test_words_that_differ_and_words_that_were_copied_are_marked() -> None:
    parts = marked("The dog ate the old cake, yes.", "The dog ate a cake.", "We saw the old cake and no dog.")
    assert "".join(part.text for part in parts) == "The dog ate the old cake, yes."
    assert [part.text.strip() for part in parts if part.differs] == ["the old", "yes."]
    assert [part.text.strip() for part in parts if part.copied] == ["the old", "cake,"]
    assert marked("Nothing to compare.") == [("Nothing to compare.", False, False)]


def test_a_report_knows_an_evaluation_that_ended_after_it_was_written(campaign: Campaign, tmp_path: Path) -> None:
    sent = Round(tmp_path, campaign.name)
    sent.deliver(sent.answers())
    finished(sent, campaign, "run-1", 0.7)
    where = f"campaigns/{campaign.name}/runs/run-1/evaluations/later"
    sent.store.put_new(f"{where}/responses.parquet", b"the first file of an evaluation that is on its way")
    before = report_run(sent.store, campaign.name, "run-1")
    publish(sent.store, where, "evaluation", {"a": b"a"}, inputs={}, facts={}, began=NOW)
    assert report_run(sent.store, campaign.name, "run-1").prefix != before.prefix


@pytest.mark.slow
def test_the_win_rate_of_a_run_is_that_of_the_evaluation_that_decides(campaign: Campaign, tmp_path: Path) -> None:
    sent, name = Round(tmp_path, campaign.name), campaign.name
    sent.deliver(sent.answers())
    finished(sent, campaign, "run-1", 0.7)
    first = finished(sent, campaign, "run-2", 0.6)
    assert [turn.win_rate for turn in rounds(sent.store, name)] == [0.8], "the champion's first evaluation decides"
    facts = evaluation_of(sent.store, name, "run-2").manifest["facts"]
    facts |= {"runs": {"policy": "run-2", "champion": "run-1"}, "win_rate": rate(0.87, 0.75)}
    facts |= {"champion_win_rate": rate(0.66, 0.55)}
    where = f"{first.prefix}/evaluations/later"
    later = publish(sent.store, where, "evaluation", {"a": b"a"}, inputs={}, facts=facts, began=NOW)
    assert promote_by_hand(sent.store, campaign, "run-2", None, "ann", later) is not None
    assert [turn.win_rate for turn in rounds(sent.store, name)] == [0.87]
    assert "win rate 0.870" in lineage(sent.store, name)["run-2"].text
    page = report_campaign(sent.store, name).path("report.html").read_text()
    row = page[page.index("<td><code>run-2") :].partition("</tr>")[0]
    assert "0.870" in row and "0.660" in row and "0.800" not in row


def test_fifty_rounds_are_drawn_without_a_smear_of_labels() -> None:
    few, many = ([(f"r{n}", 0.5, 0.4, 0.6) for n in range(count)] for count in (5, 50))
    assert charts.intervals(few, title="t").count("0.50") == 5 and ">r4<" in charts.intervals(few, title="t")
    drawn = charts.intervals(many, title="t")
    assert drawn.count("0.50") == 0 and ">r0<" in drawn and sum(f">r{n}<" in drawn for n in range(50)) <= 15
    ends = charts.frontier([("base", 0.0, 0.0), *((f"r{n}", float(n), 1.0) for n in range(50))], title="t")
    assert [n for n in range(50) if f">r{n}<" in ends] == [0, 49]


@pytest.mark.slow
def test_a_report_is_made_anew_when_what_draws_it_changes(campaign: Campaign, tmp_path: Path) -> None:
    shutil.copytree(DATA, tmp_path / "data", ignore=shutil.ignore_patterns("__pycache__"))
    assert edition(tmp_path / "data") == edition()
    for number, name in enumerate(("render/templates/run.html", "render/charts.py", "reports/run.py")):
        file = tmp_path / "data" / name
        file.write_text(file.read_text() + "\n")
        edition.cache_clear()
        assert edition(tmp_path / "data") != edition(), (number, name)
        file.write_text(file.read_text()[:-1])
        edition.cache_clear()
    sent = Round(tmp_path, "sentiment")
    sent.deliver(sent.answers())
    finished(sent, campaign, "run-1", 0.7)
    reports = [report_run(sent.store, "sentiment", "run-1"), report_run(sent.store, "sentiment", "run-1")]
    assert reports[0].prefix == reports[1].prefix, "the same state, drawn by the same code"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("data.reports.run.edition", lambda: "another")
        assert report_run(sent.store, "sentiment", "run-1").prefix != reports[0].prefix
