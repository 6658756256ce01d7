"""Flow: write a table of summaries for a person to check for accuracy."""

from prefect import flow

from flows.cancellation import stoppable
from flows.parameters import BaseModel, CampaignName, Preset, Seed, StoreUri
from flows.settings import configured
from tasks.accuracy_sheet import write_sheet


@flow
@stoppable
def accuracy_sheet(
    campaign: CampaignName,
    store: StoreUri,
    systems: list[str],
    items: int = 30,
    seed: Seed = 0,
    base: BaseModel = None,
    preset: Preset = None,
) -> str:
    """Publish the sheet, and return the address of the file to complete."""
    return write_sheet(store, configured(campaign, preset, base=base), tuple(systems), items, seed)
