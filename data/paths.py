"""The places of things in the store.

Comparisons of systems have a namespace of their own below their campaign, apart from what models learn from. Batches,
inbox, labels and decisions in this namespace have the same layout as the campaign's own. So the same code exports,
ingests and assesses them, and no label set of the campaign can read their answers.
"""

COMPARISONS = "comparisons"
KEY_FILE = "key/samples.parquet"


def comparisons_of(campaign: str) -> str:
    """Return the name under which a campaign's comparisons are kept."""
    return f"{campaign}/{COMPARISONS}"


def campaign_of(name: str) -> str:
    """Return the campaign that a name belongs to, its own or that of its comparisons."""
    return name.removesuffix(f"/{COMPARISONS}")


def name_in(prefix: str) -> str:
    """Return the name, a campaign's or that of its comparisons, under which a batch at `prefix` is kept."""
    return prefix.removeprefix("campaigns/").rsplit("/batches/", 1)[0]


def batch_prefix(campaign: str, batch_id: str) -> str:
    return f"campaigns/{campaign}/batches/{batch_id}"


def run_prefix(campaign: str, run: str) -> str:
    return f"campaigns/{campaign}/runs/{run}"


def log_of(campaign: str) -> str:
    return f"campaigns/{campaign}/promotions/log"
