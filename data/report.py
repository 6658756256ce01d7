"""The report of a run: one HTML file that needs nothing else, with the decision on top."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from data import charts
from data.campaign import Campaign
from data.cord import Pulled
from data.lineage import Node
from data.statistics import Proportion

SAMPLES_SHOWN = 40
PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)


def run_report(
    campaign: Campaign,
    facts: Mapping[str, Any],
    reward: Mapping[str, Any],
    histories: Mapping[str, Sequence[Mapping[str, float]]],
    pairs: Sequence[Mapping[str, Any]],
    earlier: Sequence[tuple[int, Mapping[str, Any] | None]],
    origin: Sequence[Node] = (),
    pulls: Sequence[Pulled] = (),
) -> str:
    """Render the report of a finished run.

    `facts` and `reward` are what run and reward model say of themselves, `histories` their metrics by step, `pairs` the
    held-out queries with both responses, `earlier` the (round, win rate) of the runs before, `origin` the run and all
    that it was made from, `pulls` those of the cord for this run.
    """
    win_rates = [*earlier, (facts["round"], facts["win_rate"])]
    points = [(f"round {number}", rate["value"], rate["low"], rate["high"]) for number, rate in win_rates if rate]
    win_rate = Proportion(**facts["win_rate"]) if facts["win_rate"] else None
    page = PAGES.get_template("run.html")
    return page.render(
        campaign=campaign,
        facts=facts,
        reward=reward,
        accuracy=Proportion(**facts["reward_accuracy"]),
        win_rate=win_rate,
        gate=campaign.promotion.win_rate_above,
        passed=win_rate is not None and win_rate.low > campaign.promotion.win_rate_above,
        pairs=pairs[:SAMPLES_SHOWN],
        last=histories["policy"][-1],
        pulls=pulls,
        watched=_watched(histories["policy"]),
        origin=Markup(charts.lineage(origin, facts["run"])) if origin else None,
        plots=[Markup(plot) for plot in _plots(campaign, reward, histories, pairs, points)],
    )


def _watched(policy: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """Return the worst that the sentinels measured in a run; nothing of runs from before there were any."""
    worst = {"score_error": max, "paid_error": max, "ratio_error": max, "kl": max, "base_gap": min, "followed": min}
    seen = {name: [step[name] for step in policy if name in step] for name in worst}
    return {name: worst[name](values) for name, values in seen.items() if values} if seen["score_error"] else {}


def _plots(
    campaign: Campaign,
    reward: Mapping[str, Any],
    histories: Mapping[str, Sequence[Mapping[str, float]]],
    pairs: Sequence[Mapping[str, Any]],
    points: Sequence[tuple[str, float, float, float]],
) -> list[str]:
    policy, trained = histories["policy"], histories["reward"]
    episodes = [step["episodes"] for step in policy]
    target = campaign.policy.kl_target
    plots = []
    if points:
        gate = campaign.promotion.win_rate_above
        plots.append(charts.intervals(points, title="Win rate over zero-shot", level=gate, level_label="gate"))
    of_policy = [
        ("score", "Score of the rollouts", 0.0, "base"),
        ("kl", "KL from the base, nats a sequence", target, "target"),
        ("valid", "Valid responses, share", None, ""),
        ("kl_coefficient", "KL coefficient", None, ""),
        ("entropy", "Entropy, nats a token", None, ""),
    ]
    for name, title, level, label in of_policy:
        values = [step[name] for step in policy]
        plots.append(charts.line(episodes, values, title=title, x_label="episodes", level=level, level_label=label))
    labels = [step["labels"] for step in trained]
    chance = {"level": reward["chance"], "level_label": "chance"}
    accuracy = [step["accuracy"] for step in trained]
    plots.append(charts.line(labels, accuracy, title="Reward model: accuracy in training", x_label="labels", **chance))
    groups = {
        "zero-shot": [pair["zero_shot_score"] for pair in pairs],
        "policy": [pair["policy_score"] for pair in pairs],
    }
    plots.append(charts.histogram(groups, title="Scores of valid responses, test queries", x_label="score"))
    return plots
