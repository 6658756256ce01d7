"""Flow: ask people which of two systems is better, with a blind batch that is handled as any other."""

from prefect import flow

from flows.cancellation import check_line, stoppable
from flows.parameters import BaseModel, CampaignName, Preset, Queries, Seed, StoreUri, SystemName
from flows.settings import configured
from tasks.human_evaluation import publish_comparison


@flow
@stoppable
def compare(
    campaign: CampaignName,
    store: StoreUri,
    left: SystemName,
    right: SystemName,
    questions: Queries = None,
    seed: Seed = 0,
    base: BaseModel = None,
    preset: Preset = None,
) -> str:
    """Publish questions with two options on test queries, and return their batch; nothing is trained on the answers."""
    settings = configured(campaign, preset, queries=questions, base=base)
    check_line(store, settings.name)
    return publish_comparison(store, settings, (left, right), seed)
