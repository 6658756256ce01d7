"""Gates of a batch: enough answers, some agreement, no drift.

A gate holds a batch until a person decides, or until more answers change the measure. If labelers certainly do not
agree, it rejects the batch.
"""

from collections.abc import Sequence

import numpy as np

from data.batches.key import UNKNOWN, Key
from data.campaign.settings import Quality
from data.labels.findings import Code, Finding
from data.labels.log_entries import AssessmentFacts, Measures, estimate
from data.measures.intervals import StoredEstimate, proportion
from data.quality.arrays import BestChoices

ENOUGH_OVERLAP = 100  # smallest number of items with several answers for which alpha decides
WATCHED = {
    "alpha": Code.ALPHA_DRIFT,
    "agreement_with_reward_model": Code.REWARD_MODEL_DRIFT,
    "drift": Code.FIXED_COMPARISON_DRIFT,
}


def gates(measures: Measures, thresholds: Quality) -> list[Finding]:
    """Return the findings from comparing the measures of a batch with the campaign's thresholds."""
    findings = []
    covered = measures["answered"] / measures["questions"] if measures["questions"] else 1.0
    if covered < thresholds.coverage:
        counts = {"answered": measures["answered"], "questions": measures["questions"]}
        findings.append(Finding(Code.INCOMPLETE, "hold", {**counts, "share": covered}))
    alpha = measures["alpha"]
    if alpha is not None and alpha["n"] >= ENOUGH_OVERLAP and alpha["low"] <= thresholds.alpha:
        certain = alpha["high"] <= thresholds.alpha
        bounds = {name: alpha[name] for name in ("value", "low", "high")}
        findings.append(Finding(Code.NO_AGREEMENT, "reject" if certain else "hold", {**bounds, "items": alpha["n"]}))
    undecided = measures["undecided"]
    if undecided is not None and undecided["n"] >= 40 and undecided["value"] > thresholds.undecided_share:
        findings.append(Finding(Code.UNDECIDED, "hold", {"share": undecided["value"], "answers": undecided["n"]}))
    return findings


def drifts(measures: Measures, earlier: Sequence[AssessmentFacts], thresholds: Quality) -> list[Finding]:
    """Return the findings from comparing a batch with the last ten accepted ones, for changes up and down."""
    findings = []
    for name, code in WATCHED.items():
        accepted = [estimate(entry["measures"], name) for entry in earlier if entry["decision"] == "accept"]
        before = [measure["value"] for measure in accepted if measure]
        now = estimate(measures, name)
        if now is None or len(before) < 3:
            continue
        usual = float(np.mean(before[-10:]))
        spread = max(float(np.std(before[-10:], ddof=1)), (now["high"] - now["low"]) / 4)
        if abs(now["value"] - usual) > thresholds.agreement_drift * spread:
            findings.append(Finding(code, "hold", {"value": now["value"], "usual": usual, "spread": spread}))
    return findings


def watched_rate(key: Key, labels: BestChoices) -> StoredEstimate | None:
    """Return the share of answers to drift questions with the watched option; None without drift questions."""
    watched = key.watched[labels.questions]
    hits = (labels.samples == watched)[watched != UNKNOWN]
    return proportion(float(hits.sum()), len(hits)).document() if len(hits) else None
