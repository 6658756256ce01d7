"""The report of a campaign: its champion, its rounds and runs over time, and their costs."""

from collections.abc import Callable, Sequence, Sized
from datetime import UTC, datetime
from typing import NamedTuple

import pyarrow.parquet as pq
from markupsafe import Markup

from data.batches.index import batches
from data.campaign import Campaign
from data.canonical import Document, content_id
from data.cord.cord import pulls
from data.cord.entries import EVERYTHING
from data.evaluation.accuracy_sheet import readings, sheet_log
from data.evaluation.deciding import facts_by_decision, later_evaluations
from data.evaluation.gate import under_champion
from data.evaluation.human_evaluation import HumanResult, human_results
from data.labels.decisions import decision_log
from data.labels.log_entries import estimate
from data.labels.table import deliveries
from data.paths import comparisons_of, evaluations_prefix, reports_prefix, runs_prefix
from data.quality.scorecard import Scorecard, scorecards
from data.render import charts
from data.render.highlight import Sample, marked
from data.render.page import PAGES
from data.reports import lineage_chart
from data.reports.edition import edition
from data.reports.evaluation import copy_figures, table
from data.rounds.lineage import ancestors, lineage
from data.rounds.status import rounds
from data.runs.champion import PromotionEntry, decisions_about, promotion_log
from data.runs.registry import Run, RunFacts, runs
from data.shapes import checked_settings
from data.store import Store, folders
from data.store.manifest import Publication, publish, read_manifest

QUERIES_SHOWN, RUNS_SHOWN = 8, 4


class RunRow(NamedTuple):
    """One run as a row of the campaign's table."""

    facts: RunFacts  # with the win rates of the evaluation that decides
    decision: str  # the last decision in the log
    minutes: float  # duration of its trainings and its evaluation
    ended: str


def report_campaign(store: Store, name: str) -> Publication:
    """Publish the report of a campaign, once for every state of the store's logs, and return it."""
    began, namespace = datetime.now(UTC), comparisons_of(name)
    finished, measured = runs(store, name), _evaluations(store, name)
    pulled = pulls(store)
    logs: list[Sized] = [promotion_log(store, name), pulled, decision_log(store, name), deliveries(store, name)]
    logs += [
        batches(store, name),
        batches(store, namespace),
        deliveries(store, namespace),
        decision_log(store, namespace),
    ]
    logs += [finished, measured, sheet_log(store, name), [each for each in pulled if each.release]]
    later = [later_evaluations(store, name, run.facts["run"]) for run in finished]
    inputs: Document = {"campaign": name, "edition": edition(), "state": [len(entries) for entries in [*logs, *later]]}
    prefix = f"{reports_prefix(name)}/{content_id(inputs)}"
    if (earlier := read_manifest(store, prefix)) is not None:
        return earlier
    decisions, cards, people = promotion_log(store, name), scorecards(store, name), human_results(store, name)
    run_rows = [_run_row(store, name, run, decisions) for run in finished]
    leader: str | None = decisions[-1]["run"] if decisions else None
    graph = lineage(store, name)
    origin = ancestors(graph, graph[leader]) if leader is not None and leader in graph else []
    scopes = {EVERYTHING, f"campaign:{name}", *(f"run:{run}" for run in folders(store, runs_prefix(name)))}
    mine = [each for each in pulled if each.pull.scope in scopes]
    settings = None
    if finished:
        last = finished[-1].facts
        settings = checked_settings(last["campaign"], Campaign, f"The campaign of {last['run']}")
    page = PAGES.get_template("campaign.html").render(
        name=name,
        settings=settings,
        leader=leader,
        withdrawn=under_champion(store, name),
        last_move=next((entry for entry in reversed(decisions) if entry["kind"] != "keep"), None),
        decisions=decisions,
        open_pulls=[each.pull for each in mine if each.release is None],
        pulls=mine,
        rounds=rounds(store, name),
        run_rows=run_rows,
        cards=cards,
        costs=costs(cards, lambda card: card.currency),
        people=people,
        sheets=readings(store, name),
        measured=[(each, table(each.manifest["facts"])) for each in measured[-1:]],
        origin=Markup(lineage_chart.lineage(origin, str(leader))) if origin else None,
        samples=_samples(store, finished),
        plots=[Markup(plot) for plot in _plots(run_rows, cards, people)]
        + [Markup(plot) for plot in _copy_plots(store, settings, finished, measured)],
    )
    return publish(store, prefix, "report", {"report.html": page.encode()}, inputs=inputs, facts={}, began=began)


def _evaluations(store: Store, name: str) -> list[Publication]:
    """Return the evaluations of systems that a person requested, oldest first."""
    prefix = evaluations_prefix(name)
    published = filter(None, (read_manifest(store, f"{prefix}/{folder}") for folder in folders(store, prefix)))
    return sorted(published, key=lambda evaluation: str(evaluation.manifest["ended"]))


def _run_row(store: Store, name: str, run: Run, decisions: Sequence[PromotionEntry]) -> RunRow:
    entries = decisions_about(decisions, run["run"])
    decision = "none yet"
    if entries:
        last = entries[-1]
        kind = {"promote": "promoted", "keep": "not promoted", "rollback": "rolled back"}[last["kind"]]
        despite = ", despite the gate" if last["kind"] == "promote" and last.get("against") else ""
        decision = f"{kind}{despite}: {last['reason']}"
    seconds = 0.0
    for step in ("supervised", "reward", "policy", "evaluation"):
        prefix = run.manifest["inputs"].get(step)
        published = read_manifest(store, prefix) if prefix else None
        if published is not None:
            began = datetime.fromisoformat(published.manifest["began"])
            seconds += (datetime.fromisoformat(published.manifest["ended"]) - began).total_seconds()
    ended = run.manifest["ended"][:16].replace("T", " ")
    return RunRow(facts_by_decision(store, name, run), decision, seconds / 60, ended)


def _samples(store: Store, finished: Sequence[Publication]) -> list[Sample]:
    """Return responses of the last runs to the same queries, each marked against the response before."""
    answers: dict[str, dict[str, str]] = {}  # by query, then by system
    texts: dict[str, str] = {}
    for run in finished[-RUNS_SHOWN:]:
        evaluation = read_manifest(store, run.manifest["inputs"]["evaluation"])
        if evaluation is None or "responses.parquet" not in evaluation.names():
            continue
        for row in pq.read_table(evaluation.path("responses.parquet")).to_pylist():
            if row["system"] in ("zero-shot", "policy"):
                who = "zero-shot" if row["system"] == "zero-shot" else f"round {run['round']}, {run['run'][:12]}"
                answers.setdefault(row["query_id"], {}).setdefault(who, row["response"])
                texts[row["query_id"]] = row["query"]
    most = max((len(responses) for responses in answers.values()), default=0)
    shown = []
    for query in [query for query, responses in answers.items() if len(responses) == most][:QUERIES_SHOWN]:
        rows, before = [], None
        for who, response in answers[query].items():
            rows.append((who, marked(response, before)))
            before = response
        shown.append(Sample(texts[query], rows))
    return shown


def _copy_plots(
    store: Store, settings: Campaign | None, finished: Sequence[Publication], measured: Sequence[Publication]
) -> list[str]:
    """Draw the places that summaries copy, for the last evaluation of systems, or else for the last run."""
    if settings is None or not settings.text.summarizes:
        return []
    last = measured[-1] if measured else read_manifest(store, finished[-1].manifest["inputs"]["evaluation"])
    if last is None or "responses.parquet" not in last.names():
        return []
    return copy_figures(pq.read_table(last.path("responses.parquet")).to_pylist(), last.manifest["facts"]["systems"])


def _plots(rows: Sequence[RunRow], cards: Sequence[Scorecard], people: Sequence[HumanResult]) -> list[str]:
    plots = []
    over_zero_shot = [(f"r{row.facts['round']}", row.facts["win_rate"]) for row in rows]
    over_champion = [(f"r{row.facts['round']}", row.facts.get("champion_win_rate")) for row in rows]
    for title, rates in (
        ("Win rate over zero-shot", over_zero_shot),
        ("Win rate over the champion before", over_champion),
    ):
        points = [(label, rate["value"], rate["low"], rate["high"]) for label, rate in rates if rate]
        if points:
            gate = rows[-1].facts["campaign"]["promotion"]["win_rate_above"]
            plots.append(charts.intervals(points, title=title, level=gate, level_label="gate"))
    judged = [(" / ".join(s[:12] for s in each.systems), each.contest.win_rate) for each in people if each.contest]
    if judged:
        points = [(label, rate.value, rate.low, rate.high) for label, rate in judged]
        plots.append(charts.ratings(points, title="Preferred by people", even=0.5))
    if rows:
        accuracy = [(f"{row.facts['labels']:,}", row.facts["reward_accuracy"]) for row in rows]
        points = [(label, rate["value"], rate["low"], rate["high"]) for label, rate in accuracy]
        chance = rows[-1].facts["reward_accuracy_chance"]
        plots.append(
            charts.intervals(points, title="Reward-model accuracy, by labels", level=chance, level_label="chance")
        )
    scored = [row.facts for row in rows if "score" in row.facts]
    betas = [f", beta {facts['recipe']['policy']['kl_coefficient']:g}" for facts in scored]
    ends = [
        (f"r{facts['round']}{beta if len(set(betas)) > 1 else ''}", facts["kl_nats_per_seq"], facts["score"])
        for facts, beta in zip(scored, betas, strict=True)
    ]
    if ends:
        plots.append(charts.frontier([("base", 0.0, 0.0), *ends], title="Score against KL, run by run"))
    for measure, title in (("agreement", "Two labelers agree"), ("gold", "Gold answers right")):
        measured = [(card.round, estimate(card.assessment["measures"], measure)) for card in cards if card.assessment]
        points = [(f"r{number}", rate["value"], rate["low"], rate["high"]) for number, rate in measured if rate]
        if points:
            plots.append(charts.intervals(points, title=title))
    if rows:
        minutes = {f"r{row.facts['round']} {row.facts['run'][4:8]}": row.minutes for row in rows}
        plots.append(charts.bars(minutes, title="Minutes of a run, without labeling"))
    for currency in costs(cards, lambda card: card.currency):
        spent = costs([card for card in cards if card.currency == currency], lambda card: f"r{card.round}")
        plots.append(charts.bars(spent, title=f"Cost of labels, {currency}" if currency else "Cost of labels"))
    return plots


def costs(cards: Sequence[Scorecard], of: Callable[[Scorecard], str]) -> dict[str, float]:
    """Return the total cost of batches by the group that `of` returns; batches without a price are left out."""
    totals: dict[str, float] = {}
    for card in cards:
        if card.cost:
            totals[of(card)] = totals.get(of(card), 0.0) + card.cost
    return totals
