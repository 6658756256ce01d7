"""The entries of the log of decisions about labels: assessments by rule and overrides by people.

Only `read_entry` knows older shapes. Entries of rules 6 and older name faults in words and have no codes, and call
rejected texts "passed over".
"""

from typing import Annotated, Any, Literal, NotRequired, cast

from pydantic import Field
from typing_extensions import TypedDict

from data.canonical import Document
from data.labels.findings import StoredFinding, code_of
from data.measures.intervals import StoredEstimate
from data.shapes import Time

Decision = Literal["accept", "hold", "reject"]


class OtherMeasures(TypedDict):
    """Measures of a batch that use other answers than those with one best sample."""

    texts: dict[str, float]  # "words chosen", "words rejected", "copied chosen", "copied rejected"
    drift: StoredEstimate | None  # share of answers with the watched option of a drift question
    answered: int  # questions with an answer or a skip
    undecided: StoredEstimate | None  # skips and ties over all options


class AnswerMeasures(TypedDict):
    """Measures of the answers with one best sample; an estimate without data is null."""

    answers: int
    labelers: int
    questions: int
    gold: StoredEstimate | None
    alpha: StoredEstimate | None
    agreement: StoredEstimate | None  # share of equal answers by two labelers to one question
    self_consistency: StoredEstimate | None
    slot_p: float  # p-value of the test that all positions are chosen equally often
    slots: list[int]  # number of answers at each position
    agreement_with_reward_model: StoredEstimate | None
    median_seconds: float | None


class Measures(AnswerMeasures, OtherMeasures):
    """All measures of a batch."""


class LabelerAssessment(TypedDict):
    """The part of an assessment about one labeler."""

    decision: Decision
    codes: list[str]  # data.labels.findings.Code
    reasons: list[str]  # for people
    weight: float
    answers: int
    gold: list[int]  # right answers, all answers
    fast: float  # share of answers that came faster than reading speed
    repeated: list[int]  # equal answers, repeated questions
    slot_p: float


class AssessmentFacts(TypedDict):
    """An assessment without its batch."""

    kind: Literal["assessment"]
    version: int  # version of the rules
    decision: Decision
    findings: list[StoredFinding]
    measures: Measures
    labelers: dict[str, LabelerAssessment]
    thresholds: dict[str, Any]  # data.campaign.settings.Quality at that time, which may lack fields of today


class Assessment(AssessmentFacts):
    """An assessment in the log."""

    batch: str
    labels: NotRequired[int]  # number of labels at that time; old assessments include all labels
    number: NotRequired[int]
    at: NotRequired[Time]


class Override(TypedDict):
    """A person's decision about a batch, or about one of its labelers."""

    kind: Literal["override"]
    batch: str
    labeler: str | None
    decision: Decision
    reason: str
    codes: list[str]  # findings at the time of the decision
    by: NotRequired[str]  # missing in old overrides
    number: NotRequired[int]
    at: NotRequired[Time]


Entry = Assessment | Override
StoredEntry = Annotated[Entry, Field(discriminator="kind")]


def estimate(measures: Measures, name: str) -> StoredEstimate | None:
    """Return an estimate by its name; None without data, or if an old assessment did not measure it."""
    return cast(StoredEstimate | None, measures.get(name))


def read_entry(stored: Document) -> Entry:
    """Return an entry of the log in today's shape."""
    if stored["kind"] == "override":
        codes = stored["codes"] if "codes" in stored else [code_of(fault) for fault in stored["faults"]]
        return cast(Override, {name: stored[name] for name in stored if name != "faults"} | {"codes": codes})
    if all("code" in finding for finding in stored["findings"]) and all(
        "codes" in labeler for labeler in stored["labelers"].values()
    ):
        return cast(Assessment, stored)
    findings = [{"code": code_of(finding["fault"]), "numbers": {}} | finding for finding in stored["findings"]]
    labelers = {
        name: {"codes": [code_of(fault) for fault in labeler.get("faults", ())]} | labeler
        for name, labeler in stored["labelers"].items()
    }
    texts = {name.replace("passed over", "rejected"): n for name, n in stored["measures"].get("texts", {}).items()}
    measures = stored["measures"] | {"texts": texts}
    return cast(Assessment, stored | {"findings": findings, "labelers": labelers, "measures": measures})
