"""Faults of the answers to a batch: a code and a text for each, and a reader for the words in old stores.

Programs compare codes only. A finding is recorded with its code, its numbers and its text; the text may be reworded at
any time, because `fault_text` and `evidence_text` are the only places that write it and nothing reads it back.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Literal, NamedTuple, NotRequired

from typing_extensions import TypedDict

Severity = Literal["reject", "hold"]
Numbers = Mapping[str, float | int | str]


class Code(StrEnum):
    """Every fault that an assessment can find. The values are part of the data contract: add to them, change none."""

    # Faults of the whole file
    INVERTED = "answers_inverted"
    INVERTED_OR_RANDOM = "answers_inverted_or_random"
    OFF_BY_ONE = "indices_off_by_one"
    PARTLY_WRONG = "answers_partly_wrong"
    WRONG_JOIN = "rows_joined_wrongly"
    UNMAPPED = "positions_not_mapped_back"
    UNMAPPED_OR_WRONG_JOIN = "positions_not_mapped_back_or_rows_joined_wrongly"
    # Faults of the batch
    GOLD_WRONG = "gold_often_wrong"
    UNEVEN_POSITIONS = "positions_uneven"
    INCOMPLETE = "batch_incomplete"
    NO_AGREEMENT = "agreement_low"
    UNDECIDED = "questions_undecided"
    ALPHA_DRIFT = "alpha_drift"
    REWARD_MODEL_DRIFT = "reward_model_agreement_drift"
    FIXED_COMPARISON_DRIFT = "fixed_comparison_drift"
    # Faults of labelers
    SAME_POSITION = "labelers_same_position"
    COPYING = "labelers_copying"
    GUESSING = "labelers_guessing"
    LABELER_GOLD_WRONG = "labeler_gold_wrong"
    LABELER_INCONSISTENT = "labeler_inconsistent"
    LABELER_TOO_FAST = "labeler_too_fast"


class Source(StrEnum):
    """The reference that answers were compared with."""

    GOLD = "gold"
    REWARD_MODEL = "reward_model"


FAULTS = {
    Code.INVERTED: "answers look inverted",
    Code.INVERTED_OR_RANDOM: "answers look inverted, or have nothing to do with the texts",
    Code.OFF_BY_ONE: "indices are off by one",
    Code.PARTLY_WRONG: "part of the answers look wrong",
    Code.WRONG_JOIN: "rows are joined to the wrong questions",
    Code.UNMAPPED: "slots are not mapped back",
    Code.UNMAPPED_OR_WRONG_JOIN: "slots are not mapped back, or rows are joined to the wrong questions",
    Code.GOLD_WRONG: "gold questions are often wrong",
    Code.UNEVEN_POSITIONS: "positions are not chosen evenly",
    Code.INCOMPLETE: "the batch is not complete",
    Code.NO_AGREEMENT: "labelers hardly agree",
    Code.UNDECIDED: "many questions are not decided",
    Code.ALPHA_DRIFT: "alpha is not what it was",
    Code.REWARD_MODEL_DRIFT: "agreement with the reward model is not what it was",
    Code.FIXED_COMPARISON_DRIFT: "the rate of the fixed comparison is not what it was",
    Code.SAME_POSITION: "always the same position",
    Code.COPYING: "accounts copy each other",
    Code.GUESSING: "some labelers answer at random",
    Code.LABELER_GOLD_WRONG: "gold answers wrong",
    Code.LABELER_INCONSISTENT: "own answers not repeated",
    Code.LABELER_TOO_FAST: "faster than anybody reads",
}
# Stores of rules 6 and older recorded these words in place of codes. The words never change.
OLD_FAULTS = {
    "answers look inverted": Code.INVERTED,
    "answers look inverted, or have nothing to do with the texts": Code.INVERTED_OR_RANDOM,
    "indices are off by one": Code.OFF_BY_ONE,
    "part of the answers look wrong": Code.PARTLY_WRONG,
    "rows are joined to the wrong questions": Code.WRONG_JOIN,
    "slots are not mapped back": Code.UNMAPPED,
    "slots are not mapped back, or rows are joined to the wrong questions": Code.UNMAPPED_OR_WRONG_JOIN,
    "gold questions are often wrong": Code.GOLD_WRONG,
    "positions are not chosen evenly": Code.UNEVEN_POSITIONS,
    "the batch is not complete": Code.INCOMPLETE,
    "labelers hardly agree": Code.NO_AGREEMENT,
    "many questions are not decided": Code.UNDECIDED,
    "alpha is not what it was": Code.ALPHA_DRIFT,
    "agreement with the reward model is not what it was": Code.REWARD_MODEL_DRIFT,
    "the rate of the fixed comparison is not what it was": Code.FIXED_COMPARISON_DRIFT,
    "always the same position": Code.SAME_POSITION,
    "accounts copy each other": Code.COPYING,
    "some labelers answer at random": Code.GUESSING,
    "gold answers wrong": Code.LABELER_GOLD_WRONG,
    "own answers not repeated": Code.LABELER_INCONSISTENT,
    "faster than anybody reads": Code.LABELER_TOO_FAST,
}
RIGHT = {
    Source.GOLD: "{right:.3f} [{low:.3f}, {high:.3f}] of the gold questions are right (chance {chance:.2f})",
    Source.REWARD_MODEL: "{right:.3f} [{low:.3f}, {high:.3f}] of the questions are answered as the last reward model "
    "would (chance {chance:.2f})",
}
DRIFT = "{value:.2f}, in earlier batches {usual:.2f} with a spread of {spread:.2f}"
EVIDENCE = {
    Code.INVERTED: "the best option is avoided",
    Code.INVERTED_OR_RANDOM: "these answers are too few to tell which of the two it is",
    Code.OFF_BY_ONE: "{shifted:.0%} of the answers are one position {side} the right one",
    Code.PARTLY_WRONG: "{first_half:.0%} in the first half of the rows, {second_half:.0%} in the second",
    Code.UNMAPPED: "the time taken follows the length of the text (rank correlation {correlation:.2f})",
    Code.UNMAPPED_OR_WRONG_JOIN: "no times are known that could tell which of the two it is",
    Code.GOLD_WRONG: "{right:.3f} [{low:.3f}, {high:.3f}] of gold answers are right",
    Code.UNEVEN_POSITIONS: "positions got {shares} (p = {p:.0e})",
    Code.INCOMPLETE: "{answered:,} of {questions:,} questions ({share:.0%}) are answered",
    Code.NO_AGREEMENT: "alpha is {value:.2f} [{low:.2f}, {high:.2f}] on {items:,} items",
    Code.UNDECIDED: "{share:.0%} of {answers:,} answers skip or tie over all options",
    Code.ALPHA_DRIFT: DRIFT,
    Code.REWARD_MODEL_DRIFT: DRIFT,
    Code.FIXED_COMPARISON_DRIFT: DRIFT,
    Code.SAME_POSITION: "{accused} of {labelers} labelers take {position} position in most of {answers:,} answers",
    Code.COPYING: "{accused} labelers agree in {agreement:.0%} of {shared} shared items, where {usual:.0%} would be "
    "usual ({nats:.0f} nats)",
    Code.LABELER_GOLD_WRONG: "{right} of {gold} gold answers right",
    Code.LABELER_INCONSISTENT: "{consistent} of {repeated} own answers repeated: as often as by chance",
    Code.LABELER_TOO_FAST: "{fast:.0%} of the answers came faster than anybody reads",
}


def fault_text(code: Code) -> str:
    """Return the text of a fault for people."""
    return FAULTS[code]


def evidence_text(code: Code, numbers: Numbers) -> str:
    """Return the text of the evidence for people, from the numbers of a finding."""
    if code == Code.WRONG_JOIN and "shift" in numbers:
        text = "{matching:.0%} are right if answers move by {shift:+d} rows"
    elif code == Code.WRONG_JOIN:
        text = "the time taken does not follow the length of the text (rank correlation {correlation:.2f})"
    elif code == Code.GUESSING:
        gold = "; their gold accuracy is {right:.2f} of {gold}" if numbers["gold"] else ""
        text = "{accused} of {labelers} labelers, with {share:.0%} of the answers, answer at random" + gold
        text += " ({nats:.0f} nats)"
    else:
        text = EVIDENCE[code]
    if "source" in numbers:
        text = f"{RIGHT[Source(str(numbers['source']))]}: {text}"
    return text.format(**numbers)


class StoredFinding(TypedDict):
    """A finding as an assessment records it. Entries of rules 6 and older have neither code nor numbers."""

    code: NotRequired[Code]
    numbers: NotRequired[dict[str, Any]]
    fault: str  # for people, as `evidence` is
    severity: Severity
    evidence: str
    labelers: Sequence[str]


class Finding(NamedTuple):
    """One fault, the numbers that show it, and the labelers it concerns (empty: all)."""

    code: Code
    severity: Severity
    numbers: Numbers
    labelers: tuple[str, ...] = ()

    @property
    def fault(self) -> str:
        return fault_text(self.code)

    @property
    def evidence(self) -> str:
        return evidence_text(self.code, self.numbers)

    def document(self) -> StoredFinding:
        """Return the finding as it is recorded."""
        return {
            "code": self.code,
            "numbers": dict(self.numbers),
            "fault": self.fault,
            "severity": self.severity,
            "evidence": self.evidence,
            "labelers": list(self.labelers),
        }


def code_of(fault: str) -> str:
    """Return the code of a fault that an old store recorded in words; unknown words are returned unchanged."""
    return OLD_FAULTS.get(fault, fault)
