"""The id of a run: a hash of the inputs that decide its weights.

The evaluation, the judges and the bar are not among these inputs. If they change, the same weights are evaluated or
decided again. Older stores named runs by these settings too. Those runs keep their ids and are found by their inputs.
"""

from contextlib import suppress
from typing import NamedTuple

from pydantic import ValidationError

from data.campaign import Campaign
from data.canonical import content_id
from data.paths import run_prefix
from data.runs.registry import runs
from data.store import Store
from data.store.manifest import Publication, read_manifest


class RunInputs(NamedTuple):
    """All inputs that decide the weights of a run."""

    campaign: Campaign
    base: str  # fingerprint of the base's weights and tokenizer
    label_set: str
    queries: list[str]  # hashes of the files of one's own queries; empty for queries that have a name
    seed: int

    def run_id(self) -> str:
        """Return the id of the run."""
        return self._named_by(self.campaign.recipe())

    def old_run_id(self) -> str:
        """Return the id of the run in older stores, where the evaluation and the bar were part of it."""
        return self._named_by(self.campaign.old_recipe())

    def _named_by(self, recipe: object) -> str:
        return "run-" + content_id([self.campaign.name, self.base, self.label_set, recipe, *self.queries, self.seed])


def find_run_id(store: Store, inputs: RunInputs) -> str:
    """Return the id of the run of these inputs: the id of a run that exists under either name, or the new id.

    So a run that was trained before is not trained again, even if its id was made in another way.
    """
    name = inputs.campaign.name
    for run in (inputs.run_id(), inputs.old_run_id()):
        if store.keys(run_prefix(name, run)):
            return run
    for published in reversed(runs(store, name)):
        if _made_of(store, published, inputs):
            return str(published.facts["run"])
    return inputs.run_id()


def _made_of(store: Store, run: Publication, inputs: RunInputs) -> bool:
    """Return whether a finished run of another name has the weights that these inputs decide."""
    if (run["label_set"], run["seed"]) != (inputs.label_set, inputs.seed) or run.get("campaign") is None:
        return False
    with suppress(ValidationError):  # settings that this version does not have
        if Campaign.model_validate(run["campaign"]).recipe() == inputs.campaign.recipe():
            first = run.manifest["inputs"].get("supervised") or run.manifest["inputs"]["reward"]
            learned = read_manifest(store, first)
            if learned is None:
                return False
            made_from = learned.manifest["inputs"]
            same_texts: bool = made_from.get("queries", []) == inputs.queries
            return same_texts and bool(made_from.get("base") == inputs.base)
    return False
