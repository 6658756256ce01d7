"""Flow: measure how the accuracy of reward models grows with the number of labels."""

from prefect import flow

from flows.cancellation import check_line, stoppable
from flows.parameters import BaseModel, CampaignName, Preset, Seed, StoreUri
from flows.settings import configured
from tasks import planning
from tasks.labels import freeze_labels


@flow
@stoppable
def measure_curve(
    campaign: CampaignName, store: StoreUri, seed: Seed = 1, base: BaseModel = None, preset: Preset = None
) -> str:
    """Publish the learning curve of all labels that count now, if it does not exist, and return its prefix."""
    settings = configured(campaign, preset, base=base)
    check_line(store, settings.name)
    return planning.measure_curve(store, settings, freeze_labels(store, settings.name, None), seed)
