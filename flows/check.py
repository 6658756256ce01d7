"""Flow: check the base of a campaign before labels are bought."""

from prefect import flow

from flows.cancellation import stoppable
from flows.parameters import BaseModel, CampaignName, Preset, StoreUri
from flows.settings import configured
from tasks.base_check import publish_check


@flow
@stoppable
def check(campaign: CampaignName, store: StoreUri, base: BaseModel = None, preset: Preset = None) -> str:
    """Publish the check of the base, passed or not, and return its prefix. It is not done twice."""
    return publish_check(store, configured(campaign, preset, base=base))
