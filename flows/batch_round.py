"""Flow: one turn of the loop. If people label, the flow exports the batch and ends."""

import tempfile
from pathlib import Path

from prefect import flow

from data.console import say
from data.rounds.status import last_asked, round_to_decide, round_to_finish
from data.store import open_store
from flows.cancellation import check_line, stoppable
from flows.export_batch import export_batch
from flows.ingest_labels import ingest_labels
from flows.parameters import (
    BaseModel,
    CampaignName,
    DecidedBy,
    Despite,
    Preset,
    Questions,
    RoundNumber,
    Seed,
    StoreUri,
)
from flows.retrain import retrain
from flows.settings import configured
from tasks.labels import answer_batch, check_changes_before_asking, check_decided


@flow
@stoppable
def batch_round(
    campaign: CampaignName,
    store: StoreUri,
    questions: Questions = None,
    seed: Seed = 1,
    base: BaseModel = None,
    preset: Preset = None,
    round_number: RoundNumber = None,
    despite: Despite = None,
    by: DecidedBy = None,
) -> str | None:
    """Run a round and return its run; None if its batch waits for people.

    If an earlier round was stopped between its run and the gate, the gate decides first. A round that has exported a
    batch for people does not export another one, because people are paid for each.
    """
    settings = configured(campaign, preset, questions=questions, base=base)
    if round_number is None and (undecided := round_to_decide(open_store(store), settings.name)):
        return retrain(campaign, store, seed, base, preset, undecided, despite=despite, by=by)
    number = round_number or round_to_finish(open_store(store), settings.name)
    check_line(store, settings.name)
    check_changes_before_asking(store, settings, despite, by)
    if settings.labelers is None:
        if exported := last_asked(open_store(store), settings.name, number):
            say(f"round {number}: batch {exported} was exported before")
        else:
            export_batch(campaign, store, questions, seed, base, preset, number)
        return None
    batch = export_batch(campaign, store, questions, seed, base, preset, number)
    with tempfile.TemporaryDirectory() as folder:
        answers = answer_batch(store, settings, batch, Path(folder))
        if answers is not None:
            ingest_labels(campaign, store, answers)
    check_decided(store, settings.name, batch)
    return retrain(campaign, store, seed, base, preset, number, despite=despite, by=by)
