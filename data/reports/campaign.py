"""The report of a campaign: its rounds over time, who is champion and why, and what each round bought and cost."""

from collections.abc import Callable, Mapping, Sequence, Sized
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow.parquet as pq
from markupsafe import Markup

from data.batches.index import batches
from data.campaign import Campaign
from data.canonical import Document, content_id
from data.cord.cord import pulls
from data.cord.entries import EVERYTHING
from data.evaluation.accuracy_sheet import readings, sheet_log
from data.evaluation.gate import under_champion
from data.evaluation.human_evaluation import HumanResult, human_results
from data.labels.decisions import decision_log
from data.labels.log_entries import estimate
from data.labels.table import deliveries
from data.paths import comparisons_of, evaluations_prefix, reports_prefix, runs_prefix
from data.quality.scorecard import Scorecard, scorecards
from data.render import charts
from data.render.highlight import marked
from data.render.page import PAGES
from data.reports import lineage_chart
from data.reports.edition import edition
from data.reports.evaluation import copy_figures, table
from data.rounds.lineage import ancestors, lineage
from data.rounds.status import rounds
from data.runs.champion import PromotionEntry, decisions_about, promotion_log
from data.runs.registry import runs
from data.store import Store, folders
from data.store.manifest import Publication, publish, read_manifest

QUERIES_SHOWN, RUNS_SHOWN = 8, 4


class Told(NamedTuple):
    """One run as a line of the campaign's table."""

    facts: Mapping[str, Any]
    decision: str  # what the log says of it last
    minutes: float  # of its trainings and its evaluation
    ended: str


def report_campaign(store: Store, name: str) -> Publication:
    """Publish the report of a campaign as it stands, once for every state, and return it."""
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
    inputs: Document = {"campaign": name, "edition": edition(), "state": [len(each) for each in logs]}
    prefix = f"{reports_prefix(name)}/{content_id(inputs)}"
    if (known := read_manifest(store, prefix)) is not None:
        return known
    decisions, cards, people = promotion_log(store, name), scorecards(store, name), human_results(store, name)
    told = [_told(store, name, run, decisions) for run in finished]
    leader: str | None = decisions[-1]["run"] if decisions else None
    graph = lineage(store, name)
    origin = ancestors(graph, graph[leader]) if leader is not None and leader in graph else []
    scopes = {EVERYTHING, f"campaign:{name}", *(f"run:{run}" for run in folders(store, runs_prefix(name)))}
    mine = [each for each in pulled if each.pull.scope in scopes]
    settings = Campaign.model_validate(finished[-1].facts["campaign"]) if finished else None
    page = PAGES.get_template("campaign.html").render(
        name=name,
        settings=settings,
        leader=leader,
        withdrawn=under_champion(store, name),
        crowned=next((e for e in reversed(decisions) if e["kind"] != "keep"), None),
        decisions=decisions,
        open_pulls=[each.pull for each in mine if each.release is None],
        pulls=mine,
        rounds=rounds(store, name),
        told=told,
        cards=cards,
        costs=costs(cards, lambda card: card.currency),
        people=people,
        sheets=readings(store, name),
        measured=[(each, table(each.manifest["facts"])) for each in measured[-1:]],
        origin=Markup(lineage_chart.lineage(origin, str(leader))) if origin else None,
        samples=_samples(store, finished),
        plots=[Markup(plot) for plot in [*_plots(told, cards, people), *_copied(store, settings, finished, measured)]],
    )
    return publish(store, prefix, "report", {"report.html": page.encode()}, inputs=inputs, facts={}, began=began)


def _evaluations(store: Store, name: str) -> list[Publication]:
    """Return what was set side by side by hand, oldest first."""
    prefix = evaluations_prefix(name)
    found = [read_manifest(store, f"{prefix}/{each}") for each in folders(store, prefix)]
    return sorted((each for each in found if each is not None), key=lambda each: str(each.manifest["ended"]))


def _told(store: Store, name: str, run: Publication, decisions: Sequence[PromotionEntry]) -> Told:
    said = decisions_about(decisions, run["run"])
    decision = "none yet"
    if said:
        kind = {"promote": "promoted", "keep": "not promoted", "rollback": "rolled back"}[said[-1]["kind"]]
        despite = ", despite the gate" if said[-1]["kind"] == "promote" and said[-1].get("against") else ""
        decision = f"{kind}{despite}: {said[-1]['reason']}"
    seconds = 0.0
    for step in ("supervised", "reward", "policy", "evaluation"):
        where = run.manifest["inputs"].get(step)
        done = read_manifest(store, where) if where else None
        if done is not None:
            began, ended = (datetime.fromisoformat(done.manifest[each]) for each in ("began", "ended"))
            seconds += (ended - began).total_seconds()
    return Told(run.manifest["facts"], decision, seconds / 60, run.manifest["ended"][:16].replace("T", " "))


def _samples(store: Store, finished: Sequence[Publication]) -> list[dict[str, Any]]:
    """Return what the last runs answer to the same queries, each marked where it differs from the one before."""
    answers: dict[str, dict[str, str]] = {}  # by query, then by who answered
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
    most = max((len(each) for each in answers.values()), default=0)
    shown = []
    for query in [query for query, each in answers.items() if len(each) == most][:QUERIES_SHOWN]:
        said, before = [], None
        for who, response in answers[query].items():
            said.append((who, marked(response, before)))
            before = response
        shown.append({"query": texts[query], "answers": said})
    return shown


def _copied(
    store: Store, settings: Campaign | None, finished: Sequence[Publication], measured: Sequence[Publication]
) -> list[str]:
    """Draw where summaries copy from, of what was set side by side last, or else of the last run's systems."""
    if settings is None or not settings.text.summarizes:
        return []
    last = measured[-1] if measured else read_manifest(store, finished[-1].manifest["inputs"]["evaluation"])
    if last is None or "responses.parquet" not in last.names():
        return []
    return copy_figures(pq.read_table(last.path("responses.parquet")).to_pylist(), last.manifest["facts"]["systems"])


def _plots(told: Sequence[Told], cards: Sequence[Scorecard], people: Sequence[HumanResult]) -> list[str]:
    plots = []
    for name, title in (
        ("win_rate", "Win rate over zero-shot"),
        ("champion_win_rate", "Win rate over the champion before"),
    ):
        rates = [(f"r{each.facts['round']}", each.facts.get(name)) for each in told]
        points = [(label, rate["value"], rate["low"], rate["high"]) for label, rate in rates if rate]
        if points:
            gate = told[-1].facts["campaign"]["promotion"]["win_rate_above"]
            plots.append(charts.intervals(points, title=title, level=gate, level_label="gate"))
    asked = [(" / ".join(s[:12] for s in each.systems), each.contest.win_rate) for each in people if each.contest]
    if asked:
        points = [(label, rate.value, rate.low, rate.high) for label, rate in asked]
        plots.append(charts.ratings(points, title="Preferred by people", even=0.5))
    if told:
        accuracy = [(f"{each.facts['labels']:,}", each.facts["reward_accuracy"]) for each in told]
        points = [(label, rate["value"], rate["low"], rate["high"]) for label, rate in accuracy]
        chance = told[-1].facts["reward_accuracy_chance"]
        plots.append(
            charts.intervals(points, title="Reward-model accuracy, by labels", level=chance, level_label="chance")
        )
    scored = [each.facts for each in told if "score" in each.facts]
    betas = [f", beta {facts['recipe']['policy']['kl_coefficient']:g}" for facts in scored]
    ends = [
        (f"r{facts['round']}{beta if len(set(betas)) > 1 else ''}", facts["kl_nats_per_seq"], facts["score"])
        for facts, beta in zip(scored, betas, strict=True)
    ]
    if ends:
        plots.append(charts.frontier([("base", 0.0, 0.0), *ends], title="Score against KL, run by run"))
    for measure, title in (("agreement", "Two labelers agree"), ("gold", "Gold answers right")):
        known = [(card.round, estimate(card.assessment["measures"], measure)) for card in cards if card.assessment]
        points = [(f"r{number}", rate["value"], rate["low"], rate["high"]) for number, rate in known if rate]
        if points:
            plots.append(charts.intervals(points, title=title))
    if told:
        minutes = {f"r{each.facts['round']} {each.facts['run'][4:8]}": each.minutes for each in told}
        plots.append(charts.bars(minutes, title="Minutes of a run, without labeling"))
    for currency in costs(cards, lambda card: card.currency):
        spent = costs([card for card in cards if card.currency == currency], lambda card: f"r{card.round}")
        plots.append(charts.bars(spent, title=f"Cost of labels, {currency}" if currency else "Cost of labels"))
    return plots


def costs(cards: Sequence[Scorecard], of: Callable[[Scorecard], str]) -> dict[str, float]:
    """Add up what batches cost, by what `of` says of each; nothing of those without a price."""
    found: dict[str, float] = {}
    for card in cards:
        if card.cost:
            found[of(card)] = found.get(of(card), 0.0) + card.cost
    return found
