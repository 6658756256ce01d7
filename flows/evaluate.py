"""Flow: evaluate the policy of a finished run again, with other queries' samples or more of them."""

from prefect import flow

from flows.parameters import BaseModel, CampaignName, Preset, Queries, RunId, Seed, StoreUri
from flows.settings import configured
from tasks.evaluation import evaluate_policy


@flow
def evaluate(
    campaign: CampaignName,
    store: StoreUri,
    run: RunId,
    seed: Seed = 2,
    queries: Queries = None,
    base: BaseModel = None,
    preset: Preset = None,
) -> str:
    """Publish an evaluation of the run's policy beside zero-shot, and return where it lies."""
    return evaluate_policy(store, configured(campaign, preset, queries=queries, base=base), run, seed)
