"""A store of an older commit is read: its runs, labels, decisions, leases, pulls and reports."""

from pathlib import Path

import pytest

from data.campaign import load_campaign
from data.cord.cord import pulls
from data.evaluation.deciding import evaluation_of, settings_in_force
from data.evaluation.human_evaluation import human_results
from data.ingest.refusal import refusals
from data.labels.decisions import batch_statuses
from data.labels.label_sets import freeze, read_label_set
from data.quality.assess_batch import assess_pending
from data.reports.campaign import report_campaign
from data.reports.quality import report_batch, report_vendors
from data.reports.run import report_run
from data.rounds.lineage import lineage
from data.runs.champion import champion, promotion_log
from data.runs.identity import RunInputs, name_run
from data.runs.leases import holder
from data.runs.registry import runs
from data.store import LocalStore
from data.store.foreign import foreign
from data.store.integrity import verify
from data.store.manifest import read_manifest
from tests.support.old_store import CAMPAIGN, unpacked


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    return LocalStore(unpacked(tmp_path, monkeypatch))


def test_everything_in_it_is_read_and_whole(store: LocalStore) -> None:
    first, second = runs(store, CAMPAIGN)
    assert (first.facts["round"], second.facts["round"]) == (1, 2) and champion(store, CAMPAIGN) == second.facts["run"]
    assert [entry["kind"] for entry in promotion_log(store, CAMPAIGN)] == ["promote", "promote"]
    assert holder(store, CAMPAIGN) is None
    (pulled,) = pulls(store)
    assert pulled.release is not None and (pulled.pull.by, pulled.release.by) == ("ada", "grace")
    (refusal,) = refusals(store, CAMPAIGN)
    assert refusal.file == "from-one.csv" and "cannot be used" in refusal.fault
    (asked,) = human_results(store, CAMPAIGN)
    assert asked.decision == "accept" and asked.answers == 23
    assert foreign(store) == ([], [])
    found = verify(store)
    assert found.damaged == [] and found.objects > 100
    assert {"run", "batch", "label set", "base"} <= {node.kind for node in lineage(store, CAMPAIGN).values()}


def test_a_persons_decision_still_holds_and_the_rankings_are_trained_on(store: LocalStore) -> None:
    batch = next(name for name in batch_statuses(store, CAMPAIGN) if name.startswith("r003"))
    assess_pending(store, CAMPAIGN)
    status = batch_statuses(store, CAMPAIGN)[batch]
    assert status.decision == "accept" and status.by_person, "it is not complete, and a person accepted it"
    _, labels = read_label_set(store, CAMPAIGN, str(freeze(store, CAMPAIGN)))
    rankings = [label.details.get("ranking") for label in labels if label.batch_id == batch]
    assert len(labels) == 68 and len(rankings) == 20 and all(rankings)


@pytest.mark.slow
def test_its_reports_are_written_anew(store: LocalStore) -> None:
    for run in runs(store, CAMPAIGN):
        page = report_run(store, CAMPAIGN, run.facts["run"]).path("report.html").read_text()
        assert run.facts["run"] in page and "It is champion" in page or run.facts["run"] != champion(store, CAMPAIGN)
    page = report_campaign(store, CAMPAIGN).path("report.html").read_text()
    assert all(run.facts["run"][:12] in page for run in runs(store, CAMPAIGN))
    assert report_vendors(store, CAMPAIGN).names() == ["report.html"]
    assert report_batch(store, CAMPAIGN).names() == ["labels.parquet", "report.html"]


@pytest.mark.parametrize("changes", [{}, {"promotion": {"win_rate_above": 0.9}}, {"evaluation": {"queries": 8}}])
def test_a_run_of_it_is_found_by_what_it_learned_and_not_trained_again(
    store: LocalStore, changes: dict[str, dict[str, float]]
) -> None:
    run = runs(store, CAMPAIGN)[-1]
    learned = read_manifest(store, run.manifest["inputs"]["reward"])
    assert learned is not None
    campaign = load_campaign("tiny.toml", changes=changes)
    base, label_set, seed = learned.manifest["inputs"]["base"], run.facts["label_set"], run.facts["seed"]
    inputs = RunInputs(campaign, base, label_set, [], seed, "fp32")
    assert inputs.run_id() != run.facts["run"], "it is named otherwise today"
    assert name_run(store, inputs) == (run.facts["run"], "fp32")
    rounded = inputs._replace(precision="bf16")
    assert name_run(store, rounded) == (rounded.run_id(), "bf16"), "its weights are others"
    assert name_run(store, rounded, ["fp16", "fp32"]) == (run.facts["run"], "fp32"), "it keeps what it began in"
    assert name_run(store, inputs._replace(seed=2))[0] != run.facts["run"]
    changed = load_campaign("tiny.toml", changes=changes | {"policy": {"lr": 0.5}})
    assert name_run(store, inputs._replace(campaign=changed))[0] == inputs._replace(campaign=changed).run_id()


def test_the_evaluation_and_the_settings_that_decided_are_its_own(store: LocalStore) -> None:
    run = runs(store, CAMPAIGN)[-1]
    assert evaluation_of(store, CAMPAIGN, run.facts["run"]).prefix == promotion_log(store, CAMPAIGN)[-1]["evaluation"]
    settings = settings_in_force(store, CAMPAIGN, run.facts["run"])
    today = load_campaign("tiny.toml")
    assert settings is not None
    assert settings.model_copy(update={"sentinels": today.sentinels}) == today, "sentinels had other limits then"
