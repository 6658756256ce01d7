"""The facts in the manifests of a run's trainings, and the entries of their histories. models/steps.py writes them."""

from typing import Any, NotRequired

from typing_extensions import TypedDict

from data.measures.intervals import StoredEstimate


class NormalisationFacts(TypedDict):
    """Scores of the base's responses before normalisation, and the gain and bias that normalise them."""

    n: int
    mean: float
    std: float
    gain: float
    bias: float


class SupervisedFacts(TypedDict):
    examples: int
    corrections: int  # examples that a labeler wrote
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
    base_score_mean: float  # on samples that were not used to set gain and bias
    base_score_std: float
    base_score_queries: int  # number of queries, because responses to one query resemble each other
    base_score_spread: float | None  # standard deviation between models; None with one model


class Improvement(TypedDict):
    """What PPO measures of one update. Losses and what follows them are means over tokens in the last epoch."""

    kl: float  # nats a sequence, from the reference
    kl_se: float  # its standard error
    score: float
    score_std: float
    reward: float  # a sequence
    valid: float  # share of valid responses
    first_ratio: float  # mean probability ratio in the first epoch
    ratio_error: float  # its mean distance from 1
    rounding: float  # deviation of the responses' log-prob changes in the first epoch, before any step, in nats
    loss_policy: float
    loss_value: float
    approx_kl: float
    clip_fraction: float
    entropy: float  # nats a token
    value_explained: float  # share of the variance of returns


class Inspection(TypedDict, total=False):
    """What the monitor measures of one update (models/monitoring/monitor.py), if it watches."""

    score_error: float  # standard deviations of the base's scores
    base_gap: float  # standard errors
    distinct_1: float
    distinct_responses: float
    length: float  # tokens of a valid response
    paid_error: float
    followed: float
    other_queries: float


class PolicyUpdate(Improvement, Inspection):
    """The metrics of one update of PPO: an entry in the history of a policy."""

    update: int
    episodes: int
    kl_coefficient: float


class PolicyFacts(TypedDict):
    last: PolicyUpdate


class RewardStep(TypedDict):
    """One step in the history of a reward model."""

    labels: int  # labels trained on so far
    loss: float
    accuracy: float


class SupervisedStep(TypedDict):
    """One step in the history of a supervised fine-tuning."""

    examples: int
    loss: float


class Circumstances(TypedDict):
    """Facts of the machine that decide the last bits of a training."""

    device: str
    precision: str
    threads: int
    gradient_checkpointing: NotRequired[bool]  # missing in older manifests; changes no result
