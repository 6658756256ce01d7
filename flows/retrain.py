"""Flow: train reward model and policy from the base on all labels, evaluate, report, and promote by the gate."""

from pathlib import Path

from prefect import flow

from flows.cancellation import check_line, stoppable
from flows.parameters import BaseModel, CampaignName, DecidedBy, Despite, Preset, Seed, StoreUri, ThroughRound
from flows.settings import configured
from models.training.job import Job
from tasks.artifacts import show_run
from tasks.base_check import require_check
from tasks.evaluation import evaluate_policy
from tasks.labels import check_changes, freeze_labels, labels_are_new
from tasks.leases import training_lease
from tasks.promotion import promote_if_better
from tasks.runs import publish_run
from tasks.tracking import track_run
from tasks.training import check_rival, identify_run, train_policy, train_reward, train_supervised


@flow
@stoppable
def retrain(
    campaign: CampaignName,
    store: StoreUri,
    seed: Seed = 1,
    base: BaseModel = None,
    preset: Preset = None,
    through_round: ThroughRound = None,
    launch: Path | None = None,
    despite: Despite = None,
    by: DecidedBy = None,
) -> str:
    """Train the run that the labels, settings and seed name, and return its id. Published steps are not repeated.

    While the line is stopped nothing starts, and a training that runs saves its state and ends.
    `launch` is an accelerate config for training in several processes.
    """
    settings = configured(campaign, preset, base=base)
    check_line(store, settings.name)
    label_set = freeze_labels(store, settings.name, through_round)
    run, precision = identify_run(store, settings, label_set, seed)
    check_line(store, settings.name, run)
    changes = check_changes(store, settings, label_set, run, despite, by)
    require_check(store, settings)
    check_rival(store, settings, run)
    with training_lease(store, settings.name, run) as lease:
        job = Job(store, settings, run, label_set, seed, lease, changes, precision)
        train_supervised(job, launch)
        train_reward(job, launch)
        train_policy(job, launch)
        evaluation = evaluate_policy(store, settings, run, seed)
        publish_run(job, evaluation)
        promote_if_better(store, settings, run)
    show_run(store, settings.name, run)
    track_run(store, settings.name, run)
    return run


@flow
@stoppable
def retrain_on_new_labels(
    campaign: CampaignName,
    store: StoreUri,
    seed: Seed = 1,
    base: BaseModel = None,
    preset: Preset = None,
    despite: Despite = None,
    by: DecidedBy = None,
) -> str | None:
    """Retrain if there are labels that count and that no run was trained on; else do nothing."""
    if not labels_are_new(store, configured(campaign, preset).name):
        return None
    return retrain(campaign, store, seed, base, preset, despite=despite, by=by)
