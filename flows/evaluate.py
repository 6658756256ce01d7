"""Flow: compare systems on test queries, or evaluate the policy of a finished run again."""

from prefect import flow

from data.evaluation.systems import all_systems
from data.store import open_store
from flows.cancellation import stoppable
from flows.parameters import BaseModel, CampaignName, Preset, Queries, RunOrNone, Seed, StoreUri, SystemNames
from flows.settings import configured, settings_of
from tasks.evaluation import evaluate_policy, evaluate_systems


@flow
@stoppable
def evaluate(
    campaign: CampaignName,
    store: StoreUri,
    run: RunOrNone = None,
    seed: Seed = 2,
    queries: Queries = None,
    base: BaseModel = None,
    preset: Preset = None,
    systems: SystemNames = None,
) -> str:
    """Publish an evaluation and return its prefix. Without a run or systems, all available systems are compared.

    A run is evaluated with the settings that it was trained with, and the preset does not change them.
    """
    settings = configured(campaign, preset, queries=queries, base=base)
    if run is not None:
        own = settings_of(open_store(store), settings.name, run, base=base, queries=queries)
        return evaluate_policy(store, own, run, seed, again=True)
    return evaluate_systems(store, settings, systems or all_systems(open_store(store), settings), seed)
