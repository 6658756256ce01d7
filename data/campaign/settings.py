"""The parts of a campaign's settings: what is sampled, trained, watched, asked, and by whom.

Every setting is read by somebody and unknown keys are refused: a setting that nobody reads is a lie.
"""

from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from data.answers import BY_NAME
from data.answers.ratings import Axis
from data.campaign.section import Settings

SHIPPED, OWN = ("embedded", "speeches"), "files of one's own"


class TextFormat(Settings):
    """What a query and a response are (the paper has four tasks)."""

    free = frozenset({"invalid_score"})

    queries: str = "embedded"  # or speeches, a folder of your own, hub:NAME; see data/campaign/queries.py
    columns: tuple[str, str] | None = None  # of a hub dataset: its text, and its reference response
    cleaning: Literal["none", "tldr", "cnndm", "speeches"] = "none"
    query_tokens: int = Field(gt=0)
    query_starts_after: str | None = None  # drop all up to the first such token; queries without it are dropped
    query_ends_at: str | None = None  # cut after the last such token; queries without it are dropped
    prefix: str = ""  # what the policy, and only the policy, reads before a query ...
    suffix: str = ""  # ... and behind it
    response_tokens: int = Field(gt=0)
    truncate_at: str  # the sentence end: keep everything up to and including the first one ...
    truncate_after: int = Field(ge=0)  # ... at or after this 0-based index
    temperature: float = Field(gt=0)
    invalid_score: float  # replaces the score of a response without a sentence end

    @model_validator(mode="after")
    def _can_end(self) -> Self:
        if self.truncate_after >= self.response_tokens:
            raise ValueError(
                f"truncate_after {self.truncate_after} lies behind the last of {self.response_tokens} response_tokens, "
                "so no response could end a sentence"
            )
        return self

    @property
    def source(self) -> str:
        """Which texts the queries are: shipped ones by name, a dataset of the hub, or OWN, wherever they lie."""
        return _source(self.queries)

    def _comparable(self, name: str, value: Any) -> Any:
        return _source(str(value)) if name == "queries" else value

    def differing(self, other: "TextFormat") -> list[str]:
        """Name the rules that are others there; where a machine keeps queries of one's own is none."""
        mine, theirs = (each.model_dump() | {"queries": each.source} for each in (self, other))
        return [name for name in mine if mine[name] != theirs[name]]

    @property
    def summarizes(self) -> bool:
        """Whether a response is about its query, as "TL;DR:" asks for, and does not continue it."""
        return bool(self.suffix)


def _source(queries: str) -> str:
    return queries if queries in SHIPPED or queries.startswith("hub:") else OWN


class Batch(Settings):
    """What a round sends to labelers."""

    free = frozenset({"questions", "probe_share", "random_share", "overlap_share", "overlap_copies"}) | frozenset(
        {"repeat_share", "gold_share", "gold", "drift"}
    )

    questions: int = Field(gt=0)
    samples: int = Field(default=4, ge=2, le=10)
    probe_share: float = Field(ge=0, le=1)  # questions with half of their samples from the base; the rest: champion
    overlap_share: float = Field(default=0.0, ge=0, le=1)  # of the questions, sent more than once: they show agreement
    overlap_copies: int = Field(default=3, ge=2, le=10)  # of such a question, each with an id and an order of its own
    gold_share: float = Field(default=0.0, ge=0, le=0.5)  # questions with a known answer, for each question asked
    gold: str | None = (
        None  # file of such questions: beside the shipped campaigns, or a path; see data/batches/composition.py
    )
    drift: str | None = None  # file of questions that every batch repeats: data/batches/composition.py
    repeat_share: float = Field(default=0.0, ge=0, le=1)  # of the questions, once more to whoever answered them
    random_share: float = Field(default=1.0, gt=0, le=1)  # of the questions; where reward models disagree: the rest

    def questions_for(self, labels: int) -> int:
        """Return how many different questions give so many labels to train on, the copies of some counted."""
        return max(1, round(labels / (1 + self.overlap_share * (self.overlap_copies - 1))))


class Supervised(Settings):
    """Fine-tuning on reference responses before anything else (paper section 2.1)."""

    batch: int = Field(gt=0)  # examples
    lr: float = Field(gt=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    validation_share: float = Field(default=0.1, gt=0, lt=0.5)  # of the queries; never trained on
    micro_batch: int = Field(default=32, gt=0)  # examples in memory at once


class Reward(Settings):
    """Reward training (paper section 2.1)."""

    batch: int = Field(gt=0)  # questions
    lr: float = Field(gt=0)
    held_out_share: float = Field(gt=0, lt=0.5)  # of the queries; measures accuracy, never trained on
    normalisation_samples: int = Field(ge=64)
    normalise_on: Literal["scored", "raw"] = "scored"  # truncated valid base samples, or all of them (released code)
    models: int = Field(default=1, ge=1)  # of consecutive seeds; their mean scores, their spread says how sure they are
    micro_batch: int = Field(default=64, gt=0)  # questions in memory at once; changes no result


class Policy(Settings):
    """PPO (paper section 2.1 and released code)."""

    episodes: int = Field(gt=0)
    batch: int = Field(gt=0)  # episodes an update
    responses_per_query: int = Field(gt=0)  # they share the query's computation
    epochs: int = Field(default=4, gt=0)
    lr: float = Field(gt=0)
    kl_coefficient: float = Field(ge=0)  # beta, at the start where a target adapts it
    kl_target: float | None = Field(default=None, gt=0)  # nats a sequence; None keeps beta fixed
    kl_horizon: float = Field(default=10_000, gt=0)  # episodes
    value_model: Literal["head", "separate"] = "head"  # on the policy's body, or a copy of the reward model
    whiten_rewards: bool = True
    gamma: float = Field(default=1.0, ge=0, le=1)
    lam: float = Field(default=0.95, ge=0, le=1)
    clip: float = Field(default=0.2, gt=0, lt=1)
    value_clip: float = Field(default=0.2, gt=0)
    value_coefficient: float = Field(default=0.1, ge=0)
    micro_batch: int = Field(default=64, gt=0)  # queries in memory at once; changes no result

    @model_validator(mode="after")
    def _divide_exactly(self) -> Self:
        if self.batch % self.responses_per_query:
            raise ValueError(f"batch {self.batch} must be a multiple of responses_per_query {self.responses_per_query}")
        return self


class Checkpointing(Settings):
    """How often a training saves its state; changes no result."""

    supervised_steps: int = Field(default=200, gt=0)
    reward_steps: int = Field(default=200, gt=0)
    policy_updates: int = Field(default=50, gt=0)


class Watching(Settings):
    """How people see a training on its way, and how it sees them; changes no result."""

    show_every: int = Field(default=10, gt=0)  # updates, between fresh samples for the live wall
    shown: int = Field(default=8, gt=0)  # samples, with zero-shot beside them
    unreachable_seconds: float = Field(default=60, gt=0)  # without sight of the cord, until a training gives up


class Evaluation(Settings):
    queries: int = Field(gt=1)  # held-out test queries, a pair of responses each
    best_of: int = Field(default=0, ge=0)  # also measure the base's best of n by the reward model, no PPO; 0: do not


class Labelers(Settings):
    """A pool of simulated labelers: an opinion, and how people differ from it."""

    prefers: Literal["positive", "negative", "descriptive", "plain", "faithful"]
    count: int = Field(gt=0)
    noise: float = Field(ge=0)  # standard deviation of a labeler's error, in units of the opinion's own
    slot_bias: float = Field(ge=0)  # the same for a labeler's fondness of each position
    error_rate: float = Field(ge=0, le=1)  # answers at random
    seed: int


class Quality(Settings):
    """What labels must show before anything is trained on them; data/quality/diagnosis.py."""

    gold_accuracy: float = Field(default=0.85, ge=0, le=1)  # below: hold the batch
    labeler_gold: float = Field(default=0.7, ge=0, le=1)  # below, on ten gold answers or more: hold the labeler
    guessers_share: float = Field(default=0.08, ge=0, le=1)  # of labels by those who answer at random; above: hold
    gold_reject: float = Field(default=0.6, ge=0, le=1)  # of gold answers right, below: reject the batch
    alpha: float = Field(default=0.05, ge=-1, le=1)  # the lower bound must lie above it, the upper one or reject
    coverage: float = Field(default=0.95, ge=0, le=1)  # of the questions answered or skipped, below: hold the batch
    undecided_share: float = Field(default=0.2, ge=0, le=1)  # of answers that tie over all or skip, above: hold
    fast_share: float = Field(default=0.3, ge=0, le=1)  # of a labeler's answers too fast to have read; above: hold
    words_a_second: float = Field(default=15.0, gt=0)  # what nobody can read
    agreement_drift: float = Field(default=4.0, gt=0)  # standard deviations from earlier batches; beyond: hold
    evidence: float = Field(default=7.0, gt=0)  # nats by which a fault must explain the answers better than none
    roster: list[str] | None = None  # labelers whose answers are taken; None: everybody's
    most_answers: int | None = Field(default=None, gt=0)  # of different labelers to one question; more are left out


class Sentinels(Settings):
    """When a training pulls the cord by itself (data/cord/sentinels.py)."""

    samples: int = Field(default=32, ge=8)  # responses of an update that are scored a second time, elsewhere
    # Largest allowed error, as a fraction of the base's standard deviation; in bf16 see models/monitoring/monitor.py.
    score_error: float = Field(default=0.25, gt=0)
    paid_error: float = Field(default=1e-3, gt=0)  # of a token's reward
    # The next limits are for fp32 and for responses of up to 75 tokens; data/cord/limits.py has all others.
    ratio_error: float = Field(default=1e-3, gt=0)  # mean distance of the first ratios from 1
    first_kl: float = Field(default=0.3, gt=0)  # nats a sequence, before anything is trained
    kl_targets: float = Field(default=4.0, gt=1)  # times the target, or ...
    kl_least: float = Field(default=30.0, gt=0)  # ... so many nats where that is more
    kl_most: float = Field(default=100.0, gt=0)  # nats, where there is no target
    kl_jump: float = Field(default=20.0, gt=0)  # nats in one update
    clip_fraction: float = Field(default=0.6, gt=0, le=1)
    loss_spike: float = Field(default=50.0, gt=1)  # times the median of the ten updates before
    valid_share: float = Field(default=0.5, ge=0, le=1)  # of the first update's
    entropy_share: float = Field(default=0.15, ge=0, le=1)
    distinct_share: float = Field(default=0.4, ge=0, le=1)
    length_room: float = Field(default=0.8, gt=0, lt=1)  # of the way from the first mean length to an end of its range
    base_gap_se: float = Field(default=4.5, gt=0)  # standard errors, of the base's scores from the published ones
    score_falls_se: float = Field(default=4.0, gt=0)
    followed_se: float = Field(default=3.0, gt=0)
    reward_labels: int = Field(default=200, gt=0)  # labels without which accuracy says nothing

    @model_validator(mode="before")
    @classmethod
    def _of_older_stores(cls, value: Any, info: ValidationInfo) -> Any:
        """Leave out what stored campaigns may have and no sentinel reads; a campaign's own file may not have it."""
        stored = isinstance(value, dict) and info.context is None
        return {name: limit for name, limit in value.items() if name != "length_factor"} if stored else value


class Promotion(Settings):
    win_rate_above: float = Field(ge=0, le=1)  # the lower bound must lie above it


class Vendor(Settings):
    """Who labels, and for how much: what the quality report adds up."""

    name: str = "unnamed"
    price: float = Field(default=0.0, ge=0)  # of one answer
    currency: str = ""


class Ask(Settings):
    """What labelers are asked for; every answer of another kind is taken all the same."""

    free = frozenset({"kind", "critique", "correction"})  # each label says its kind, and all kinds train together

    kind: str = "best"  # one of data/answers/
    axes: tuple[Axis, ...] = Field(default=("overall",), min_length=1)  # of ratings
    critique: bool = False  # what is wrong with the options, in words
    correction: bool = False  # the response that a labeler would have written

    @field_validator("kind")
    @classmethod
    def _is_a_kind(cls, kind: str) -> str:
        if kind not in BY_NAME:
            raise ValueError(f"there is no kind {kind!r} of answers; write one of {', '.join(BY_NAME)}")
        return kind

    def wording(self) -> str:
        """Return what is added to the instructions; empty where one option is chosen and nothing else asked."""
        critique = "Say in a sentence what is wrong with them." if self.critique else ""
        correction = "If none is good, write the response that you would have liked." if self.correction else ""
        return " ".join(filter(None, [BY_NAME[self.kind].wording(self.axes), critique, correction]))
