"""The finished runs of a campaign."""

from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from data.canonical import Document
from data.errors import Refused
from data.measures.intervals import StoredEstimate
from data.paths import run_prefix, runs_prefix
from data.shapes import checked_shape
from data.store import Store, folders
from data.store.base import is_key
from data.store.manifest import Publication, read_manifest


class RunFacts(TypedDict):
    """The facts in the manifest of a run."""

    run: str  # its id
    round: int
    label_set: str
    labels: int
    base: str
    seed: int
    reward_accuracy: StoredEstimate  # on held-out labels
    reward_accuracy_chance: float
    win_rate: StoredEstimate | None  # over zero-shot; None without judges
    champion_win_rate: NotRequired[StoredEstimate | None]
    best_of_win_rate: NotRequired[StoredEstimate | None]
    kl_nats_per_seq: float
    score: float
    valid: float  # share of valid responses
    recipe: NotRequired[Document]  # the settings that decide its weights; missing in older stores
    campaign: NotRequired[Document]  # all settings
    changes: NotRequired[Document | None]  # what a person accepted (data/rounds/changes.py)


class RunName(TypedDict):
    """What the facts of every run have, also in older stores."""

    run: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class RunInputKeys(TypedDict):
    """What the manifest of a run says it was made from."""

    label_set: str
    seed: int
    reward: str  # the prefix where the reward model is published, and so on
    policy: str
    evaluation: str
    supervised: NotRequired[str]


class Run(Publication):
    """A published run: a reward model and a policy, evaluated."""

    @property
    def facts(self) -> RunFacts:
        facts: RunFacts = self.manifest["facts"]
        return facts


def read_run(store: Store, prefix: str) -> Run | None:
    """Return the finished run at a prefix, None if there is none."""
    published = read_manifest(store, prefix)
    if published is None:
        return None
    checked_shape(published.manifest["facts"], RunName, published.where)
    checked_shape(published.manifest["facts"], RunFacts, published.where, complete=False)
    checked_shape(published.manifest["inputs"], RunInputKeys, published.where, complete=False)
    return Run(published.store, published.prefix, published.manifest)


def runs(store: Store, campaign: str) -> list[Run]:
    """Return the finished runs of a campaign, oldest first."""
    prefix = runs_prefix(campaign)
    finished = [read_run(store, f"{prefix}/{run}") for run in folders(store, prefix)]
    return sorted(filter(None, finished), key=lambda run: (run.manifest["ended"], run.facts["run"]))


def find_run(store: Store, campaign: str, run: str) -> Run:
    """Return a finished run; raise Refused if there is none with that id."""
    prefix = run_prefix(campaign, run)
    published = read_run(store, prefix) if is_key(prefix) else None
    if published is None:
        offered = ", ".join(r.facts["run"] for r in runs(store, campaign)) or "none yet"
        raise Refused(f"Campaign {campaign} has no finished run {run} in {store.uri}; it has: {offered}.")
    return published


def policy_of(store: Store, campaign: str, run: str) -> Publication:
    """Return the published policy of a finished run."""
    published = read_manifest(store, find_run(store, campaign, run).manifest["inputs"]["policy"])
    assert published is not None
    return published
