"""Flow: sample a round's questions and publish them with the vendor's files."""

from prefect import flow

from data.rounds.status import round_to_export
from data.runs.champion import champion
from data.store import open_store
from flows.cancellation import check_line, stoppable
from flows.parameters import BaseModel, CampaignName, Preset, Questions, RoundNumber, Seed, StoreUri
from flows.settings import configured
from tasks.artifacts import show_batch
from tasks.batches import publish_batch


@flow
@stoppable
def export_batch(
    campaign: CampaignName,
    store: StoreUri,
    questions: Questions = None,
    seed: Seed = 0,
    base: BaseModel = None,
    preset: Preset = None,
    round_number: RoundNumber = None,
) -> str:
    """Publish the batch of a round, by default of the round that is due, and return its id.

    Nothing is sampled while the line or the run of the champion is stopped.
    """
    settings = configured(campaign, preset, questions=questions, base=base)
    check_line(store, settings.name, champion(open_store(store), settings.name))
    number = round_number or round_to_export(open_store(store), settings.name)
    batch = publish_batch(store, settings, number, seed)
    show_batch(store, settings.name, batch)
    return batch
