"""Flow: sample a round's questions and publish them with the vendor's files."""

from prefect import flow

from data.rounds import round_to_export
from data.store import open_store
from flows.settings import configured
from tasks.batches import publish_batch


@flow
def export_batch(
    campaign: str,
    store: str,
    questions: int | None = None,
    seed: int = 0,
    base: str | None = None,
    preset: str | None = None,
    round_number: int | None = None,
) -> str:
    """Publish the batch of a round (by default the round that is due) and return its id."""
    settings = configured(campaign, preset, questions=questions, base=base)
    number = round_number or round_to_export(open_store(store), settings.name)
    return publish_batch(store, settings, number, seed)
