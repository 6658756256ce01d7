"""The report of a run: one HTML file without external parts, with the decision first."""

from collections.abc import Sized
from datetime import UTC, datetime

from markupsafe import Markup

from data.campaign import Campaign
from data.canonical import content_id
from data.cord.cord import pulls
from data.cord.sentinels import worst_values
from data.errors import Refused
from data.evaluation.deciding import evaluation_of, facts_by_decision, later_evaluations, settings_in_force
from data.evaluation.human_evaluation import human_evaluations
from data.evaluation.judgements import PairResult, result_for
from data.labels.decisions import decision_log
from data.labels.table import deliveries
from data.measures.intervals import Estimate
from data.paths import comparisons_of, run_prefix
from data.render import charts
from data.render.page import PAGES
from data.reports import lineage_chart
from data.reports.edition import edition
from data.reports.evaluation import copy_figures, frontier, matrix, samples, table
from data.reports.run_facts import RunReportInput, gather
from data.runs.champion import promotion_log
from data.runs.registry import find_run
from data.store import Store
from data.store.manifest import Publication, publish, read_manifest

SAMPLES_SHOWN = 30


def report_run(store: Store, name: str, run: str) -> Publication:
    """Publish the report of a finished run, once for every state of the store's logs, and return it."""
    began, published = datetime.now(UTC), find_run(store, name, run)
    namespace = comparisons_of(name)
    pulled = pulls(store)
    logs: list[Sized] = [promotion_log(store, name), pulled, decision_log(store, name), deliveries(store, name)]
    logs += [human_evaluations(store, name), deliveries(store, namespace), decision_log(store, namespace)]
    logs += [[each for each in pulled if each.release], later_evaluations(store, name, run)]
    inputs = {"run": run, "edition": edition(), "state": [len(entries) for entries in logs]}
    prefix = f"{run_prefix(name, run)}/reports/{content_id(inputs)}"
    if (earlier := read_manifest(store, prefix)) is not None:
        return earlier
    steps = {
        step: done
        for step in ("supervised", "reward", "policy")
        if step in published.manifest["inputs"]
        and (done := read_manifest(store, published.manifest["inputs"][step])) is not None
    }
    steps["evaluation"] = evaluation_of(store, name, run)
    if "responses.parquet" not in steps["evaluation"].names():
        report = published.address("report.html")
        raise Refused(f"{run} was evaluated by an older version, which stored no responses. Read its report {report}.")
    campaign = settings_in_force(store, name, run)
    assert campaign is not None  # stores with responses record the settings
    page = run_report(campaign, gather(store, campaign, facts_by_decision(store, name, published), steps))
    return publish(store, prefix, "report", {"report.html": page.encode()}, inputs=inputs, facts={}, began=began)


def run_report(campaign: Campaign, of: RunReportInput) -> str:
    """Render the report of a run."""
    facts = of.facts
    results = [PairResult.of(stored) for stored in of.evaluation["contests"]]
    result = result_for(results, "policy", "zero-shot")
    won = {row["query"]: row["won"] for row in of.judgements if (row["left"], row["right"]) == ("zero-shot", "policy")}
    shown = [row for row in of.responses if row["system"] in ("zero-shot", "policy")]
    ids = list(dict.fromkeys(row["query_id"] for row in shown))[:SAMPLES_SHOWN]
    pairs = samples(shown, "zero-shot", campaign.text.summarizes, SAMPLES_SHOWN)
    return PAGES.get_template("run.html").render(
        campaign=campaign,
        facts=facts,
        of=of,
        reward=of.reward,
        accuracy=Estimate(**facts["reward_accuracy"]),
        ceiling=of.agreed.ceiling.value if of.agreed else None,
        win_rate=Estimate(**facts["win_rate"]) if facts["win_rate"] else None,
        over_champion=Estimate(**over_champion) if (over_champion := facts.get("champion_win_rate")) else None,
        equal_length=result.equal_length if result else None,
        last_move=next((entry for entry in reversed(of.decisions) if entry["kind"] != "keep"), None),
        pairs=[(pair, won.get(query)) for query, pair in zip(ids, pairs, strict=True)],
        last=of.histories["policy"][-1],
        table=table(of.evaluation),
        matrix=matrix(of.evaluation),
        watched=worst_values(of.histories["policy"]),
        origin=Markup(lineage_chart.lineage(of.origin, facts["run"])) if of.origin else None,
        plots=[Markup(plot) for plot in _plots(campaign, of)],
    )


def _plots(campaign: Campaign, of: RunReportInput) -> list[str]:
    policy, trained, facts = of.histories["policy"], of.histories["reward"], of.facts
    win_rates = [*of.earlier, (facts["round"], facts["win_rate"])]
    points = [(f"round {number}", rate["value"], rate["low"], rate["high"]) for number, rate in win_rates if rate]
    plots = []
    if points:
        gate = campaign.promotion.win_rate_above
        plots.append(charts.intervals(points, title="Win rate over zero-shot", level=gate, level_label="gate"))
    if ends := frontier(of.evaluation):
        # After supervised fine-tuning the training measures KL from its own start, so its path is left out.
        path = [(step["kl"], step["score"]) for step in policy] if campaign.supervised is None else []
        training = " and the training" if path else ""
        plots.append(charts.frontier(ends, title=f"Score against KL: systems{training}", path=path))
    start = "the base" if campaign.supervised is None else "its start"
    episodes = [step["episodes"] for step in policy]
    policy_curves: list[tuple[str, str, float | None, str]] = [
        ("score", "Score of the rollouts", 0.0, "base"),
        ("kl", f"KL from {start}, nats a sequence", campaign.policy.kl_target, "target"),
        ("valid", "Valid responses, share", None, ""),
        ("kl_coefficient", "KL coefficient", None, ""),
        ("entropy", "Entropy, nats a token", None, ""),
    ]
    for name, title, level, label in policy_curves:
        values = [step[name] for step in policy]
        plots.append(charts.line(episodes, values, title=title, x_label="episodes", level=level, level_label=label))
    labels, chance = [step["labels"] for step in trained], of.reward["chance"]
    accuracy = [step["accuracy"] for step in trained]
    title = "Reward model: accuracy in training"
    plots.append(charts.line(labels, accuracy, title=title, x_label="labels", level=chance, level_label="chance"))
    if calibration := of.reward.get("calibration"):
        title = f"Reward model: calibration, error {calibration[0]:.3f}"
        plots.append(charts.calibration(calibration[1], title=title))
    groups = {
        system: [row["score"] for row in of.responses if row["system"] == system] for system in ("zero-shot", "policy")
    }
    plots.append(charts.histogram(groups, title="Scores of valid responses, test queries", x_label="score"))
    if campaign.text.summarizes:
        plots += copy_figures(of.responses, [name for name in ("zero-shot", "policy") if groups[name]])
    return plots
