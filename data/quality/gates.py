"""What a batch must show beyond the absence of known faults: enough answers, some agreement, no drift.

A gate holds a batch until a person decides, or until more answers arrive that change the measure; where agreement is
certainly gone it rejects.
"""

from collections.abc import Sequence

import numpy as np

from data.batches.key import UNKNOWN, Key
from data.campaign.settings import Quality
from data.canonical import Document
from data.measures.intervals import proportion
from data.quality.arrays import BestChoices, Finding

ENOUGH_OVERLAP = 100  # items with two answers or more, before alpha alone decides
WATCHED = {
    "alpha": "alpha",
    "agreement_with_reward_model": "agreement with the reward model",
    "drift": "the rate of the fixed comparison",
}


def gates(measures: Document, thresholds: Quality) -> list[Finding]:
    """Compare what was measured of a batch with the campaign's thresholds."""
    found = []
    covered = measures["answered"] / measures["questions"] if measures["questions"] else 1.0
    if covered < thresholds.coverage:
        evidence = f"{measures['answered']:,} of {measures['questions']:,} questions ({covered:.0%}) are answered"
        found.append(Finding("the batch is not complete", "hold", evidence))
    alpha = measures["alpha"]
    if alpha is not None and alpha["n"] >= ENOUGH_OVERLAP and alpha["low"] <= thresholds.alpha:
        evidence = f"alpha is {alpha['value']:.2f} [{alpha['low']:.2f}, {alpha['high']:.2f}] on {alpha['n']:,} items"
        certain = alpha["high"] <= thresholds.alpha
        found.append(Finding("labelers hardly agree", "reject" if certain else "hold", evidence))
    undecided = measures["undecided"]
    if undecided is not None and undecided["n"] >= 40 and undecided["value"] > thresholds.undecided_share:
        evidence = f"{undecided['value']:.0%} of {undecided['n']:,} answers skip or tie over all options"
        found.append(Finding("many questions are not decided", "hold", evidence))
    return found


def drifts(measures: Document, earlier: Sequence[Document], thresholds: Quality) -> list[Finding]:
    """Compare a batch with the last ten accepted ones: a jump of agreement up is as suspicious as one down."""
    found = []
    for name, shown in WATCHED.items():
        accepted = [e["measures"].get(name) for e in earlier if e["decision"] == "accept"]
        before = [measure["value"] for measure in accepted if measure]
        now = measures.get(name)
        if now is None or len(before) < 3:
            continue
        usual = float(np.mean(before[-10:]))
        spread = max(float(np.std(before[-10:], ddof=1)), (now["high"] - now["low"]) / 4)
        if abs(now["value"] - usual) > thresholds.agreement_drift * spread:
            evidence = f"{now['value']:.2f}, in earlier batches {usual:.2f}, {spread:.2f} apart as a rule"
            found.append(Finding(f"{shown} is not what it was", "hold", evidence))
    return found


def watched_rate(key: Key, labels: BestChoices) -> Document | None:
    """Return how often the watched option of the fixed comparison was chosen; None where the batch has none."""
    watched = key.watched[labels.questions]
    hits = (labels.samples == watched)[watched != UNKNOWN]
    return proportion(float(hits.sum()), len(hits))._asdict() if len(hits) else None
