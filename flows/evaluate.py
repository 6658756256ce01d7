"""Flow: evaluate the policy of a finished run again, with other queries' samples or more of them."""

from prefect import flow

from flows.settings import configured
from tasks.evaluation import evaluate_policy


@flow
def evaluate(
    campaign: str,
    store: str,
    run: str,
    seed: int = 2,
    queries: int | None = None,
    base: str | None = None,
    preset: str | None = None,
) -> str:
    """Publish an evaluation of the run's policy beside zero-shot, and return where it lies."""
    return evaluate_policy(store, configured(campaign, preset, queries=queries, base=base), run, seed)
