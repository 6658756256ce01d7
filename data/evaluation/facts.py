"""What an evaluation records of its systems: the facts of its manifest, written by tasks/evaluation.py."""

from collections.abc import Mapping
from typing import NotRequired

from typing_extensions import TypedDict

from data.measures.intervals import StoredEstimate
from data.shapes import checked_shape
from data.store.manifest import Publication


class StoredPair(TypedDict):
    """How often one system is preferred to another."""

    left: str
    right: str
    win_rate: StoredEstimate
    equal_length: StoredEstimate  # as it would be if both wrote equally much


class StoredRating(TypedDict):
    """The Elo rating of a system, with its 95 % interval."""

    elo: float
    low: float
    high: float


class StoredBehaviour(TypedDict):
    """How far a policy went from the base, measured on unfiltered responses."""

    kl: float  # nats a sequence
    kl_standard_error: float
    valid: float  # share of valid responses


class PolicyMeasures(TypedDict, total=False):
    """What a run and the promotion gate read of the evaluation of a policy; other evaluations have none of it."""

    win_rate: StoredEstimate | None  # over zero-shot; None without judges
    champion_win_rate: StoredEstimate | None
    best_of_win_rate: StoredEstimate | None  # of best of n over zero-shot
    kl: float  # as in StoredBehaviour
    kl_standard_error: float
    valid: float


class Costs(TypedDict, total=False):
    """How long an evaluation took; older ones do not say."""

    seconds: float
    model_seconds: float  # of these, the time that the models need


class EvaluationFacts(PolicyMeasures, Costs):
    """All facts of an evaluation. Those that are not required are missing in older stores."""

    systems: list[str]
    runs: NotRequired[dict[str, str]]  # of the systems that are policies
    anchor: str  # the system that all others are compared with
    pairs: int  # queries that all systems answered
    seed: int
    rules: NotRequired[str]  # hash of the settings that it was made by
    other_rules: NotRequired[
        dict[str, list[str]]
    ]  # by policy: the text settings that differ from those of its training
    contests: list[StoredPair]
    elo: Mapping[str, StoredRating]  # empty without judgements
    texts: Mapping[str, Mapping[str, float | None]]  # measures of each system's texts
    scores: Mapping[str, tuple[float, float]]  # mean, and the standard error of the distance from the anchor
    behaviours: Mapping[str, StoredBehaviour]


def evaluation_facts(evaluation: Publication) -> EvaluationFacts:
    """Return the facts of a published evaluation."""
    return checked_shape(evaluation.manifest["facts"], EvaluationFacts, evaluation.where, complete=False)
