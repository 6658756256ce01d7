"""The facts in the manifest of an evaluation, written by tasks/evaluation.py."""

from collections.abc import Mapping
from typing import NotRequired

from typing_extensions import TypedDict

from data.measures.intervals import StoredEstimate
from data.shapes import checked_shape
from data.store.manifest import Publication


class StoredPair(TypedDict):
    """Win rate of one system over another."""

    left: str
    right: str
    win_rate: StoredEstimate
    equal_length: StoredEstimate  # estimated win rate for responses of equal length


class StoredRating(TypedDict):
    """The Elo rating of a system, with its 95 % interval."""

    elo: float
    low: float
    high: float


class StoredBehaviour(TypedDict):
    """Divergence of a policy from the base, measured on unfiltered responses."""

    kl: float  # nats a sequence
    kl_standard_error: float
    valid: float  # share of valid responses


class PolicyMeasures(TypedDict, total=False):
    """The measures that a run and the promotion gate read. Evaluations without a policy have none of them."""

    win_rate: StoredEstimate | None  # over zero-shot; None without judges
    champion_win_rate: StoredEstimate | None
    best_of_win_rate: StoredEstimate | None  # win rate of best of n over zero-shot
    kl: float  # as in StoredBehaviour
    kl_standard_error: float
    valid: float


class Costs(TypedDict, total=False):
    """Duration of an evaluation; missing in older stores."""

    seconds: float
    model_seconds: float  # the part that the models need


class EvaluationFacts(PolicyMeasures, Costs):
    """All facts of an evaluation. Fields that are not required are missing in older stores."""

    systems: list[str]
    runs: NotRequired[dict[str, str]]  # run ids of the systems that are policies
    anchor: str  # the system that all others are compared with
    pairs: int  # queries that all systems answered
    seed: int
    rules: NotRequired[str]  # hash of the settings of the evaluation
    other_rules: NotRequired[dict[str, list[str]]]  # by policy, the text settings that differ from its training
    contests: list[StoredPair]
    elo: Mapping[str, StoredRating]  # empty without judgements
    texts: Mapping[str, Mapping[str, float | None]]  # metrics of each system's texts
    scores: Mapping[str, tuple[float, float]]  # mean, and the standard error of the difference to the anchor
    behaviours: Mapping[str, StoredBehaviour]


def evaluation_facts(evaluation: Publication) -> EvaluationFacts:
    """Return the facts of a published evaluation."""
    return checked_shape(evaluation.manifest["facts"], EvaluationFacts, evaluation.where, complete=False)
