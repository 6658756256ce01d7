"""What the answers to a batch are worth: what was measured of them, of every labeler, and what is decided.

A decision is made anew from all answers whenever some arrive, so it never has to be corrected; a person's own decision
lies beside it in the same log, with a reason.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from data.batches.composition import FEWEST_GOLD
from data.batches.key import UNKNOWN
from data.campaign.settings import Quality
from data.labels.findings import Code, Finding, evidence_text
from data.labels.log_entries import AnswerMeasures, AssessmentFacts, LabelerAssessment, Measures, OtherMeasures
from data.measures.agreement import Integers, alpha_interval, count_classes, one_coin, slot_p
from data.measures.intervals import Estimate, StoredEstimate, proportion
from data.quality.arrays import Answers
from data.quality.diagnosis import diagnose
from data.quality.gates import drifts, gates
from data.quality.spam import pairs

VERSION = 8  # of these rules; every assessment records the version that made it
LEAST_WEIGHT, MOST_WEIGHT = 0.25, 1.5


def assess(
    answers: Answers, questions: int, thresholds: Quality, earlier: Sequence[AssessmentFacts], others: OtherMeasures
) -> AssessmentFacts:
    """Measure the answers to a batch of so many questions, and decide: accept, hold or reject.

    `earlier` are the assessments of other batches, which this one must not drift from; `others` are measures that need
    more than the answers: `answered`, `undecided`, `drift` and `texts`.
    """
    measures: Measures = {**measure(answers, questions), **others}
    findings = [*diagnose(answers, thresholds), *drifts(measures, earlier, thresholds)]
    findings += gates(measures, thresholds)
    labelers = assess_labelers(answers, findings, thresholds)
    worst = {finding.severity for finding in findings}
    return {
        "kind": "assessment",
        "version": VERSION,
        "decision": "reject" if "reject" in worst else "hold" if worst else "accept",
        "findings": [finding.document() for finding in findings],
        "measures": measures,
        "labelers": labelers,
        "thresholds": thresholds.model_dump(),
    }


def measure(answers: Answers, questions: int) -> AnswerMeasures:
    """Measure a batch: coverage, gold, agreement, positions, the reward model's view, speed, self-consistency."""
    known = answers.take(answers.gold != UNKNOWN)
    viewed = answers.take(answers.predicted != UNKNOWN)
    timed = answers.take(~np.isnan(answers.seconds))
    _, asked_twice = _pairs_of_one_labeler(answers)
    # Sample numbers are rotated by item: in a human evaluation they are systems, and all may prefer the same one.
    rotated = (answers.samples + answers.items) % answers.k
    return {
        "answers": len(answers),
        "labelers": len(answers.names),
        "questions": questions,
        "gold": _share(known.samples == known.gold),
        "alpha": _finite(alpha_interval(count_classes(answers.items, rotated, answers.k))),
        "agreement": _share(pairs(answers).equal),
        "self_consistency": _share(asked_twice),
        "slot_p": slot_p(answers.slots, answers.k),
        "slots": np.bincount(answers.slots, minlength=answers.k).tolist(),
        "agreement_with_reward_model": _share(viewed.samples == viewed.predicted),
        "median_seconds": float(np.median(timed.seconds)) if len(timed) else None,
    }


def _pairs_of_one_labeler(answers: Answers) -> tuple[Integers, NDArray[np.bool_]]:
    """Return the labeler of each pair of answers by one labeler to copies of a question, and whether they are equal."""
    order = np.lexsort((answers.labelers, answers.items))
    items, who, what = answers.items[order], answers.labelers[order], answers.samples[order]
    same = (items[1:] == items[:-1]) & (who[1:] == who[:-1])
    return who[1:][same], (what[1:] == what[:-1])[same]


def _by_chance(hits: int, count: int, *, chance: float, usual: float, evidence: float) -> bool:
    """Return whether chance explains a labeler's repeated answers better than the usual rate, by `evidence` nats."""
    if usual <= chance or usual >= 1:
        return False
    gain = hits * np.log(chance / usual) + (count - hits) * np.log((1 - chance) / (1 - usual))
    return bool(gain > evidence)


def _share(hits: NDArray[np.bool_]) -> StoredEstimate | None:
    return proportion(float(hits.sum()), len(hits)).document() if len(hits) else None


def _finite(estimate: Estimate) -> StoredEstimate | None:
    return estimate.document() if all(np.isfinite(value) for value in estimate) else None


def assess_labelers(answers: Answers, findings: Sequence[Finding], thresholds: Quality) -> dict[str, LabelerAssessment]:
    """Return the decision about every labeler, and the weight of accepted ones by their skill (one-coin model)."""
    accused = {name: finding for finding in findings for name in finding.labelers}
    weights = skill_weights(answers)
    who, equal = _pairs_of_one_labeler(answers)
    usual = float(equal.mean()) if len(equal) else 0.0
    consistent = np.bincount(who, equal, len(answers.names)).astype(int).tolist()
    repeated = np.bincount(who, minlength=len(answers.names)).tolist()
    result: dict[str, LabelerAssessment] = {}
    for number, (name, own) in enumerate(zip(answers.names, answers.by_labeler(), strict=True)):
        known = own.take(own.gold != UNKNOWN)
        right = int((known.samples == known.gold).sum())
        fast = float((own.seconds < own.words / thresholds.words_a_second).mean()) if len(own) else 0.0
        twice = consistent[number], repeated[number]
        reasons: dict[str, str] = {accused[name].code: accused[name].fault} if name in accused else {}
        if len(known) >= FEWEST_GOLD and right < thresholds.labeler_gold * len(known):
            code = Code.LABELER_GOLD_WRONG
            reasons[code] = evidence_text(code, {"right": right, "gold": len(known)})
        if _by_chance(*twice, chance=1 / answers.k, usual=usual, evidence=thresholds.evidence):
            code = Code.LABELER_INCONSISTENT
            reasons[code] = evidence_text(code, {"consistent": twice[0], "repeated": twice[1]})
        if fast > thresholds.fast_share and len(own) >= FEWEST_GOLD:
            reasons[Code.LABELER_TOO_FAST] = evidence_text(Code.LABELER_TOO_FAST, {"fast": fast})
        result[name] = {
            "decision": "hold" if reasons else "accept",
            "codes": sorted(reasons),
            "reasons": list(reasons.values()),
            "weight": round(float(weights[number]), 4),
            "answers": len(own),
            "gold": [right, len(known)],
            "fast": round(fast, 4),
            "repeated": list(twice),
            "slot_p": slot_p(own.slots, answers.k),
        }
    return result


def skill_weights(answers: Answers) -> NDArray[np.float64]:
    """Return the weight of each labeler: the log-odds of a right answer, relative to the average labeler's.

    Only items with several answers, or with a known answer, count.
    """
    total = len(answers.names)
    counts = np.bincount(answers.items)
    tested_answers = answers.take((counts[answers.items] > 1) | (answers.gold != UNKNOWN)) if len(answers) else answers
    if not len(tested_answers):
        return np.ones(total)
    units = np.unique(tested_answers.items, return_inverse=True)[1]
    is_gold = tested_answers.gold != UNKNOWN
    gold = dict(zip(units[is_gold].tolist(), tested_answers.gold[is_gold].tolist(), strict=True))
    skill = one_coin(units, tested_answers.labelers, tested_answers.samples, answers.k, gold).skill
    skill = np.concatenate([skill, np.full(total - len(skill), skill.mean())])
    seen = np.bincount(tested_answers.labelers, minlength=total)
    average = float((skill * seen).sum() / seen.sum())
    odds = np.log(np.clip(skill, 0.02, 0.98) * (answers.k - 1) / (1 - np.clip(skill, 0.02, 0.98)))
    usual = np.log(average * (answers.k - 1) / (1 - average)) if average * answers.k > 1.05 else np.inf
    weights: NDArray[np.float64] = np.clip(odds / usual, LEAST_WEIGHT, MOST_WEIGHT)
    return np.where((seen > 0) & np.isfinite(usual), weights, 1.0)
