"""Which labelers gave answers that look wrong, if each of them is looked at on their own.

The labeling page delivers the answers of many people together. One of them may read the instructions the wrong way
round, and the others' answers are still good.
"""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from data.labels.findings import Finding
from data.quality.arrays import Answers
from data.quality.diagnosis import faults_of_the_file, known_answers


class LabelerFindings(NamedTuple):
    """Whose answers look wrong, and what looks wrong about the answers of all others together."""

    wrong: dict[str, Finding]
    of_the_others: Finding | None


def judge_labelers(answers: Answers, despite: Collection[str]) -> LabelerFindings:
    """Find the labelers whose answers look wrong as a whole; `despite` are codes that a person decided to ignore.

    First each labeler's answers are compared with what is known, alone. If the answers of the others together still
    look wrong, the labelers among them whose known answers look wrong, however few these are, are added. Only if these
    are all of them, nobody can be told from anybody else.
    """
    own = zip(answers.names, answers.by_labeler(), strict=True)
    wrong = {name: finding for name, each in own if (finding := _finding(each, despite))}
    rest = _without(answers, wrong)
    tested = known_answers(rest)
    if tested is None or (finding := _finding(rest, despite)) is None:
        return LabelerFindings(wrong, None)
    alone = {name: tested.of_labeler(number) for number, name in enumerate(answers.names)}
    compared = {name: each for name, each in alone.items() if len(each.answers)}
    suspects = {name: finding for name, each in compared.items() if each.look_wrong}
    if len(suspects) == len(compared):
        return LabelerFindings(wrong, finding)
    wrong |= suspects
    return LabelerFindings(wrong, _finding(_without(answers, wrong), despite))


def _without(answers: Answers, names: Collection[str]) -> Answers:
    return answers.take(~np.isin(answers.labelers, [answers.names.index(name) for name in names]))


def _finding(answers: Answers, despite: Collection[str]) -> Finding | None:
    """Return the first finding about all of some answers, unless it is one to ignore."""
    findings = faults_of_the_file(answers)
    return findings[0] if findings and findings[0].code not in despite else None
