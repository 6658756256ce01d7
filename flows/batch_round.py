"""Flow: one turn of the loop, as far as labels come at once; for people it exports the batch and ends."""

import tempfile
from pathlib import Path

from prefect import flow

from data.console import say
from data.rounds.status import last_asked, round_to_decide, round_to_finish
from data.store import open_store
from flows.cancellation import check_line, stoppable
from flows.export_batch import export_batch
from flows.ingest_labels import ingest_labels
from flows.parameters import BaseModel, CampaignName, Preset, Questions, RoundNumber, Seed, StoreUri
from flows.retrain import retrain
from flows.settings import configured
from tasks.labels import answer_batch, check_decided


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
) -> str | None:
    """Go through a round and return its run; None where the batch now waits for people.

    A round that was stopped between its run and the gate comes first, and asks nothing again. Nor does one that has
    asked people already, by whatever command and seed: they are paid for it.
    """
    settings = configured(campaign, preset, questions=questions, base=base)
    if round_number is None and (trained := round_to_decide(open_store(store), settings.name)):
        return retrain(campaign, store, seed, base, preset, trained)
    number = round_number or round_to_finish(open_store(store), settings.name)
    check_line(store, settings.name)
    if settings.labelers is None:
        if asked := last_asked(open_store(store), settings.name, number):
            say(f"round {number}: has asked batch {asked}")
        else:
            export_batch(campaign, store, questions, seed, base, preset, number)
        return None
    batch = export_batch(campaign, store, questions, seed, base, preset, number)
    with tempfile.TemporaryDirectory() as folder:
        answers = answer_batch(store, settings, batch, Path(folder))
        if answers is not None:
            ingest_labels(campaign, store, answers)
    check_decided(store, settings.name, batch)
    return retrain(campaign, store, seed, base, preset, number)
