"""Planning: what is foreseen is what simulated batches then show."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from data.batches.composition import gold_count
from data.campaign import load_campaign
from data.campaign.settings import Sentinels
from data.cord.reward_sentinels import of_reward_model
from data.errors import Refused
from data.labels.decisions import override
from data.labels.log_entries import Decision
from data.measures.agreement import PairAgreement, alpha_interval, count_classes, noise_ceiling
from data.measures.intervals import Estimate, proportion
from data.reports.run import run_report
from data.rounds.plan import Point, caught, foreseen_accuracy, plan
from flows.cli.main import app
from flows.cli.plan import plan_lines
from tests.support.history import gathered
from tests.support.vendor import Round

CAMPAIGN = load_campaign("sentiment", "vendor")
MEASURE = "andon plan sentiment --measure"


def test_a_small_batch_has_gold_enough_to_say_anything_or_none() -> None:
    shares = CAMPAIGN.batch
    assert [gold_count(shares, drawn) for drawn in (60, 200, 2000)] == [10, 10, 100]
    assert gold_count(shares.model_copy(update={"gold_share": 0.0}), 2000) == 0


def test_a_plan_without_copies_foresees_no_alpha_and_says_so() -> None:
    alone = load_campaign("sentiment", "vendor", {"batch": {"overlap_share": 0.0}})
    found = plan(alone, 2000, 0.1, 20, None, [])
    assert found.alpha is None and json.loads(json.dumps(found._asdict(), allow_nan=False))["alpha"] is None
    said = "\n".join(plan_lines(found, MEASURE))
    assert "no question is copied" in said and "too few to judge one person by" in said


def test_links_are_refused_before_anything_is_sampled(tmp_path: Path) -> None:
    store = tmp_path / "store"
    ran = CliRunner().invoke(app, ["export", "sentiment", "--vendor", "acme", "--store", str(store)])
    assert isinstance(ran.exception, Refused) and "Links need a store in S3" in str(ran.exception)
    assert not store.exists()


def test_no_rejected_batch_says_how_often_labelers_agree(tmp_path: Path) -> None:
    sent = Round(tmp_path, "sentiment")
    sent.deliver(sent.answers())
    decided: list[tuple[Decision, bool]] = [("reject", False), ("accept", True)]
    for decision, measured in decided:
        override(sent.store, "sentiment", "b1", decision, "a test", None)
        ran = CliRunner().invoke(app, ["plan", "sentiment", "--store", sent.store.uri, "--json"])
        assert json.loads(ran.output.splitlines()[-1])["agreement_measured"] == measured


def test_what_is_paid_for_is_questions_copies_and_gold() -> None:
    found = plan(CAMPAIGN, 5000, 0.1, 20, None, [])
    assert found.questions == 3846 and found.rows == 3846 + 2 * 577 + 77 + 192 + 72
    assert found.cost == pytest.approx(0.1 * found.rows)
    assert not found.agreement_measured and found.expected_accuracy is None


def test_plan_report_and_guard_name_one_ceiling() -> None:
    agreed = PairAgreement(proportion(4400, 10_000), 4)
    planned = plan(CAMPAIGN, 2600, 0.1, 20, 0.44, [])
    assert planned.ceiling == agreed.ceiling.value == pytest.approx(0.6275, abs=1e-4)
    page = run_report(CAMPAIGN, gathered(CAMPAIGN, None)._replace(agreed=agreed))
    assert f"noise ceiling {planned.ceiling:.3f}" in page
    limit = agreed.ceiling.high
    for accuracy, stops in ((limit - 0.002, False), (limit + 0.002, True)):
        seen = Estimate(accuracy, accuracy, accuracy, 10**6)
        found = of_reward_model(seen, seen, seen, 0.25, None, agreed, Sentinels())
        assert [alarm.code == "too-good" for alarm in found] == [True] * stops
        assert not stops or f"allow {limit:.2f} at most" in found[0].text


def test_the_foreseen_interval_of_alpha_is_as_wide_as_a_measured_one() -> None:
    found = plan(CAMPAIGN, 2600, 0.1, 20, 0.5, []).alpha
    assert found is not None
    draw = np.random.default_rng(3)
    right = noise_ceiling(0.5, 4)
    truth = np.repeat(draw.integers(0, 4, found.n), 3)
    said = np.where(draw.random(len(truth)) < right, truth, (truth + draw.integers(1, 4, len(truth))) % 4)
    measured = alpha_interval(count_classes(np.repeat(np.arange(found.n), 3), said, 4))
    assert found.high - found.low == pytest.approx(measured.high - measured.low, rel=0.25)
    assert found.low < measured.value < found.high


def test_more_gold_catches_more_guessers_and_accuses_fewer_others() -> None:
    assert caught(0.25, 9, 0.7) == 0, "too few to judge anybody"
    assert caught(0.25, 10, 0.7) > 0.99 and caught(0.9, 10, 0.7) == pytest.approx(0.0128, abs=1e-3)
    assert caught(0.9, 30, 0.7) < caught(0.9, 10, 0.7)


def test_the_curve_goes_on_as_it_came_and_not_beyond_the_ceiling() -> None:
    curve = [Point(n, round(10**6 * (0.6 - 0.2 * (n / 1000) ** -0.5)), 10**6) for n in (1000, 2000, 4000)]
    found = foreseen_accuracy(curve, 4000, 8000, 0.6)
    assert found is not None
    expected, gained = found
    assert expected.value == pytest.approx(0.6 - 0.2 * 8**-0.5, abs=1e-3)
    assert gained.value == pytest.approx(0.2 * (4**-0.5 - 8**-0.5), abs=1e-3)
    assert expected.low < expected.value < expected.high and gained.low > 0.02
    assert foreseen_accuracy(curve[:2], 4000, 8000, 0.6) is None


@pytest.mark.slow
def test_few_held_out_labels_tell_less_and_the_lines_say_so() -> None:
    for drop, held_out, said in ((0.3, 10**6, "worth it"), (0.1, 100, "too few held-out labels to tell")):
        accuracies = {n: 0.7 - drop * (n / 500) ** -0.4 for n in (500, 1000, 2000, 4000)}
        curve = [Point(n, round(held_out * accuracy), held_out) for n, accuracy in accuracies.items()]
        lines = plan_lines(plan(CAMPAIGN, 4000, 0.1, 20, 0.6, curve), MEASURE)
        assert lines[-1].split(": ")[-1].startswith(said)
        assert "4,000 labels" in lines[-2]
    flat = [Point(n, 500_000, 10**6) for n in (500, 1000, 2000, 4000)]
    assert "hardly worth it" in plan_lines(plan(CAMPAIGN, 4000, 0.1, 20, 0.35, flat), MEASURE)[-1]
