"""Flow: sample a round's questions and publish them with the vendor's files."""

from prefect import flow

from data.rounds import round_to_export
from data.store import open_store
from flows.parameters import BaseModel, CampaignName, Preset, Questions, RoundNumber, Seed, StoreUri
from flows.settings import configured
from tasks.batches import publish_batch


@flow
def export_batch(
    campaign: CampaignName,
    store: StoreUri,
    questions: Questions = None,
    seed: Seed = 0,
    base: BaseModel = None,
    preset: Preset = None,
    round_number: RoundNumber = None,
) -> str:
    """Publish the batch of a round (by default the round that is due) and return its id."""
    settings = configured(campaign, preset, questions=questions, base=base)
    number = round_number or round_to_export(open_store(store), settings.name)
    return publish_batch(store, settings, number, seed)
