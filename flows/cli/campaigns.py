"""Which campaign a person means."""

from data.campaign import load_campaign
from data.paths import CAMPAIGNS
from data.store import Store, folders


def name_of(campaign: str, store: Store) -> str:
    """Return the name of a campaign: a shipped one, that of a .toml file, or one that the store has."""
    in_store = not campaign.endswith(".toml") and campaign in folders(store, CAMPAIGNS)
    return campaign if in_store else load_campaign(campaign).name
