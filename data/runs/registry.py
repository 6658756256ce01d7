"""The finished runs of a campaign."""

from data.errors import Refused
from data.paths import run_prefix, runs_prefix
from data.store import Store, folders
from data.store.base import is_key
from data.store.manifest import Publication, read_manifest


def runs(store: Store, campaign: str) -> list[Publication]:
    """Return the finished runs of a campaign, oldest first."""
    prefix = runs_prefix(campaign)
    found = [read_manifest(store, f"{prefix}/{run}") for run in folders(store, prefix)]
    return sorted((run for run in found if run is not None), key=lambda run: (run.manifest["ended"], run["run"]))


def find_run(store: Store, campaign: str, run: str) -> Publication:
    """Return a finished run; raise Refused where there is none of that id."""
    prefix = run_prefix(campaign, run)
    published = read_manifest(store, prefix) if is_key(prefix) else None
    if published is None:
        offered = ", ".join(r["run"] for r in runs(store, campaign)) or "none yet"
        raise Refused(f"Campaign {campaign} has no finished run {run} in {store.uri}; it has: {offered}.")
    return published


def policy_of(store: Store, campaign: str, run: str) -> Publication:
    """Return the published policy of a finished run."""
    published = read_manifest(store, find_run(store, campaign, run).manifest["inputs"]["policy"])
    assert published is not None
    return published
