"""What the manifests of a run's trainings record, and what their histories hold: written by models/steps.py."""

from typing import Any

from typing_extensions import TypedDict

from data.measures.intervals import StoredEstimate


class NormalisationFacts(TypedDict):
    """Scores of the base's responses before gain and bias were set, and what these were set to."""

    n: int
    mean: float
    std: float
    gain: float
    bias: float


class SupervisedFacts(TypedDict):
    examples: int
    corrections: int  # of the examples, those that a labeler wrote
    validation_loss: float  # nats a reference token
    validation_loss_of_base: float


class RewardFacts(TypedDict):
    train_labels: int
    held_out_labels: int
    accuracy: StoredEstimate
    chance: float
    gold_accuracy: StoredEstimate | None
    loss: float
    calibration: list[Any] | None  # expected error, and the bins of a calibration plot
    models: int
    normalised_before: NormalisationFacts  # of the first model
    normalised_after: list[NormalisationFacts]
    base_score_mean: float  # on samples that did not set gain and bias
    base_score_std: float
    base_score_queries: int  # responses to one query are alike, so queries count
    base_score_spread: float | None  # standard deviation between models; None with one model


class PolicyFacts(TypedDict):
    last: dict[str, float]  # the metrics of the last update


class RewardStep(TypedDict):
    """One step in the history of a reward model."""

    labels: int  # trained on so far
    loss: float
    accuracy: float


class SupervisedStep(TypedDict):
    """One step in the history of a supervised fine-tuning."""

    examples: int
    loss: float


class Circumstances(TypedDict):
    """What else decides the bits of a training."""

    device: str
    precision: str
    threads: int
