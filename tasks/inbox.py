"""Prefect task of the inbox: take in what vendors dropped there, without an engineer."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from data.campaign import Campaign
from data.console import say
from data.cord.webhook import notify
from data.errors import Refused, Stopped
from data.ingest.inbox import pending, refuse_delivery
from data.paths import CAMPAIGNS, comparisons_of
from data.shapes import checked_settings
from data.store import folders, open_store
from tasks.artifacts import show_refused
from tasks.labels import ingest_file


@task(cache_policy=NO_CACHE)
def ingest_waiting(store_uri: str, campaign: str | None) -> int:
    """Ingest what waits in the inbox of a campaign, or of all, and return how many files were taken.

    A delivery is validated by the settings that its batch was exported with. A refused delivery is recorded with the
    reason and not read again: its vendor delivers another file, or a person takes it with andon ingest --despite. If
    a delivery fails in a way that nobody foresaw, the others are ingested, and it is tried again the next time.
    """
    store, taken = open_store(store_uri), 0
    failed: list[Exception] = []
    campaigns = [campaign] if campaign else folders(store, CAMPAIGNS)
    for name in (namespace for each in campaigns for namespace in (each, comparisons_of(each))):
        for delivery in pending(store, name):
            try:
                where = f"The campaign of {delivery.batch['batch']}"
                ingest_file.fn(store_uri, checked_settings(delivery.batch["campaign"], Campaign, where), delivery.file)
                taken += 1
            except Stopped:
                raise  # it waits for the line, not for its vendor
            except Refused as refusal:
                say(f"labels: refused {delivery.key}: {refusal}")
                refuse_delivery(store, delivery, refusal)
                show_refused(name, delivery.key, str(refusal))
                notify("refusal", f"{name}: {refusal}", {"campaign": name, "file": delivery.key})
            except Exception as error:
                say(f"labels: {delivery.key} could not be taken: {type(error).__name__}")
                error.add_note(f"while {delivery.key} was taken in")
                failed.append(error)
    if failed:
        raise ExceptionGroup(f"{taken} deliveries were taken, and {len(failed)} could not be", failed)
    return taken
