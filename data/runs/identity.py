"""The id of a run: a hash of the inputs that decide its weights.

The evaluation, the judges and the bar are not among these inputs. If they change, the same weights are evaluated or
decided again. Older stores named runs by these settings too, and not by the precision of matrix products. Those runs
keep their ids and are found by their inputs.
"""

from collections.abc import Sequence
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
    precision: str  # of matrix products

    def run_id(self) -> str:
        """Return the id of the run."""
        return "run-" + content_id([*self._named_by(self.campaign.recipe()), self.precision])

    def old_run_ids(self) -> list[str]:
        """Return the ids of the run in older stores: without its precision, and with its evaluation and bar."""
        recipes = (self.campaign.recipe(), self.campaign.old_recipe())
        return ["run-" + content_id(self._named_by(recipe)) for recipe in recipes]

    def _named_by(self, recipe: object) -> list[object]:
        return [self.campaign.name, self.base, self.label_set, recipe, *self.queries, self.seed]


def name_run(store: Store, inputs: RunInputs, others: Sequence[str] = ()) -> tuple[str, str]:
    """Return the id and the precision of the run of these inputs: of a run that exists, or of a new one.

    So a run that was trained before is not trained again, even if its id was made in another way. A run that was begun
    in another precision, one of `others`, continues in it.
    """
    for precision in (inputs.precision, *others):
        if (run := _existing(store, inputs._replace(precision=precision))) is not None:
            return run, precision
    return inputs.run_id(), inputs.precision


def _existing(store: Store, inputs: RunInputs) -> str | None:
    """Return the id of the run of these inputs in the store, which may be unfinished; None if there is none."""
    name = inputs.campaign.name
    if store.keys(run_prefix(name, inputs.run_id())):
        return inputs.run_id()
    for run in inputs.old_run_ids():
        if inputs.precision in _precisions(store, run_prefix(name, run)):
            return run
    for published in reversed(runs(store, name)):
        if _made_of(store, published, inputs):
            return str(published.facts["run"])
    return None


def _precisions(store: Store, prefix: str) -> set[str | None]:
    """Return the precisions of the published trainings of a run."""
    steps = (read_manifest(store, f"{prefix}/{step}") for step in ("supervised", "reward", "policy"))
    return {step.get("precision") for step in steps if step is not None}


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
            same_precision = learned.get("precision") == inputs.precision
            return same_precision and same_texts and bool(made_from.get("base") == inputs.base)
    return False
