"""The result of a base check as it is stored: comparisons, samples, and the time and memory of each stage."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from typing_extensions import TypedDict


class CheckCode(StrEnum):
    """What the base check compares or counts."""

    SAMPLING = "sampling"
    DRAWS = "draws"
    NEIGHBORS = "neighbors"
    TRAINING = "training"
    POLICY = "policy"
    SCORES = "scores"
    BEGINNING = "beginning"
    ROUND_TRIP = "round-trip"
    NO_TEXT = "no-text"
    CUT_CHARACTER = "cut-character"
    CHECKPOINT = "checkpoint"
    COPY = "copy"
    COPIED_LOGITS = "copied-logits"
    REWARD_COPY = "reward-copy"


class Meaning(NamedTuple):
    """How a comparison is shown: its name, the unit of its error, and the usual causes of an error."""

    name: str
    unit: str
    causes: str


NATS = "nats a token"
MEANINGS = {
    CheckCode.SAMPLING: Meaning(
        "log-probs of sampling",
        NATS,
        "the logits are scaled, capped or have a bias, the layers have a window or a state, or positions are shifted",
    ),
    CheckCode.DRAWS: Meaning(
        "draws from the softmax", "of probability", "tokens are not drawn at the campaign's temperature"
    ),
    CheckCode.NEIGHBORS: Meaning(
        "responses without their neighbors",
        NATS,
        "padding, or the state of a layer, leaks from one response into another",
    ),
    CheckCode.TRAINING: Meaning(
        "log-probs of training",
        NATS,
        "the logits are scaled, capped or have a bias, the layers have a window or a state, or positions are shifted",
    ),
    CheckCode.POLICY: Meaning("log-probs of the policy", NATS, "the policy is not computed as the base is"),
    CheckCode.SCORES: Meaning(
        "scores of a reward model",
        "of a score",
        "padding or other responses are read, the layers have a window or a state, or positions are shifted",
    ),
    CheckCode.BEGINNING: Meaning(
        "rows without the first token", "rows", "the tokenizer puts a token before each text, and the rows lack it"
    ),
    CheckCode.ROUND_TRIP: Meaning(
        "texts that change when they are read again", "texts", "the tokenizer does not give a text back unchanged"
    ),
    CheckCode.NO_TEXT: Meaning(
        "ids without text in valid responses", "ids", "the model has more ids than its tokenizer, or special tokens"
    ),
    CheckCode.CUT_CHARACTER: Meaning(
        "responses with broken characters", "responses", "the tokenizer writes characters in parts, and one is cut"
    ),
    CheckCode.CHECKPOINT: Meaning(
        "weights that differ if the base is opened again", "models", "the checkpoint lacks tensors, which are random"
    ),
    CheckCode.COPY: Meaning(
        "copies with other weights", "models", "transformers does not save or load this architecture completely"
    ),
    CheckCode.COPIED_LOGITS: Meaning(
        "log-probs of a copy", NATS, "transformers does not save or load this architecture completely"
    ),
    CheckCode.REWARD_COPY: Meaning(
        "scores of a saved reward model", "of a score", "transformers does not save or load the body completely"
    ),
}


class Comparison(TypedDict):
    """One comparison. It is a finding if there is no error, or if the error is larger than its bound."""

    code: CheckCode
    error: float | None  # None if it is not a finite number, or if nothing could be compared
    bound: float
    detail: str  # what stopped the comparison; empty if nothing did


class CheckedSample(TypedDict):
    """A response to read."""

    query: str
    response: str
    valid: bool


class Stage(TypedDict):
    """Time and peak memory of one stage."""

    name: str
    seconds: float
    peak_bytes: int  # of the process on a CPU, of torch's allocator on a GPU


class BaseCheck(TypedDict):
    """The facts of a published check."""

    passed: bool
    base: str
    architecture: str
    parameters: int
    comparisons: list[Comparison]
    own_queries: bool  # whether the queries are the campaign's
    valid: int
    sampled: int
    samples: list[CheckedSample]
    stages: list[Stage]
    noise: float | None  # nats a token that the precision of a training changes; None in fp32
    export_seconds: float | None  # estimate for the campaign's batch; None without a valid response
    policy_seconds: float | None  # estimate for the training of the policy
    policy_bytes: int | None  # estimate of its memory
    free_bytes: int  # of this machine's memory, before the training


def is_finding(comparison: Comparison) -> bool:
    """Tell whether a comparison shows an error."""
    error = comparison["error"]
    return error is None or not error <= comparison["bound"]


def findings(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return the comparisons that show an error, the largest error first."""
    return sorted(filter(is_finding, comparisons), key=_size, reverse=True)


def _size(comparison: Comparison) -> float:
    error = comparison["error"]
    return float("inf") if error is None else error / max(comparison["bound"], 1e-9)


def described(comparison: Comparison) -> str:
    """Return a comparison in words, such as `log-probs of sampling are off by 0.36 nats a token (bound 0.0001)`."""
    meaning = MEANINGS[comparison["code"]]
    if comparison["error"] is None:
        return f"{meaning.name}: {comparison['detail'] or 'the result is not a finite number'}"
    return f"{meaning.name}: {comparison['error']:.2g} {meaning.unit}, allowed {comparison['bound']:g}"
