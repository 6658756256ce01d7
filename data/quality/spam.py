"""Labelers who guess or copy each other, found by likelihood ratios over all their answers.

Gold questions alone are not enough, because no labeler has enough of them.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from data.batches.key import UNKNOWN
from data.campaign.settings import Quality
from data.labels.findings import Code, Finding
from data.measures.agreement import Integers
from data.quality.arrays import Answers

FEWEST_PAIRS = 20  # smallest number of pairs, or of known answers, that is evidence of guessing
FARTHEST_PAIR = 39  # largest distance, in the answers to one item, at which two answers are compared
COPIED = 0.97  # share of items in which labelers who copy each other agree
Floats = NDArray[np.float64]


class Trials(NamedTuple):
    """Tests of labelers: the labeler, the reference, and whether the two agree."""

    who: Integers  # index of a labeler
    other: Integers | None  # index of the other labeler; None: gold or the reward model
    hit: NDArray[np.bool_]


class Pairs(NamedTuple):
    """Pairs of answers of different labelers to one item."""

    left: Integers  # index of a labeler
    right: Integers
    equal: NDArray[np.bool_]


def pairs(answers: Answers) -> Pairs:
    """Pair the answers to each item. Gold questions are left out, because agreement on easy ones shows nothing.

    Two answers to an item are paired if at most FARTHEST_PAIR - 1 answers to it were delivered between them. So the
    number of pairs grows linearly with the answers, not quadratically, and each answer still has 39 partners.
    """
    answers = answers.take(answers.gold == UNKNOWN)
    order = np.argsort(answers.items, kind="stable")
    items, who, what = answers.items[order], answers.labelers[order], answers.samples[order]
    by_distance: list[tuple[Integers, Integers, NDArray[np.bool_]]] = []
    for distance in range(1, FARTHEST_PAIR + 1):
        same = items[distance:] == items[:-distance]
        if not same.any():
            break
        a, b = np.flatnonzero(same), np.flatnonzero(same) + distance
        kept = who[a] != who[b]
        a, b = a[kept], b[kept]
        by_distance.append((who[a], who[b], what[a] == what[b]))
    if not by_distance:
        none = np.zeros(0, np.int32)
        return Pairs(none, none, none.astype(bool))
    left, right, equal = (np.concatenate(columns) for columns in zip(*by_distance, strict=True))
    return Pairs(left, right, equal)


def find_copying(answers: Answers, thresholds: Quality, usual: float | None = None) -> list[Finding]:
    """Find every group of labelers who copy each other: first the clearest, then the next among the others."""
    groups: list[Finding] = []
    while (group := _collusion_group(answers, thresholds, usual)) is not None:
        groups.append(group)
        answers = answers.take(~np.isin(answers.labelers, [answers.names.index(name) for name in group.labelers]))
    return groups


def _collusion_group(answers: Answers, thresholds: Quality, usual: float | None) -> Finding | None:
    """Find a group of labelers who agree more than the others' agreement predicts (greedy, from the strongest pairs).

    The evidence compares two rates of agreement, inside the group and elsewhere, with one rate for all, or with `usual`
    if it is given. The choice of g of W labelers costs ln(W choose g).
    """
    together = pairs(answers)
    total = len(set(answers.labelers.tolist()))
    if len(together.equal) < 30:
        return None
    of_all = _rate(together.equal) if usual is None else usual
    elsewhere = of_all
    group: list[int] = []
    inside = np.zeros(len(together.equal), bool)
    for _ in range(4):  # the usual agreement is measured outside the group
        if elsewhere >= COPIED:
            return None
        group = _best_group(together, len(answers.names), elsewhere)
        inside = np.isin(together.left, group) & np.isin(together.right, group)
        if usual is None:
            elsewhere = _rate(together.equal[~inside])
    if not inside.any() or (usual is None and inside.all()):
        return None
    apart = together.equal[~inside]
    gain = _nats(together.equal[inside], COPIED) + _nats(apart, elsewhere) - _nats(together.equal, of_all)
    gain -= _choices(total, len(group))
    if gain < thresholds.evidence:
        return None
    numbers = {
        "accused": len(group),
        "agreement": float(together.equal[inside].mean()),
        "shared": int(inside.sum()),
        "usual": elsewhere,
        "nats": gain,
    }
    return Finding(Code.COPYING, "hold", numbers, tuple(sorted(answers.names[who] for who in group)))


def _rate(equal: NDArray[np.bool_]) -> float:
    return float(np.clip((equal.sum() + 0.5) / (len(equal) + 1), 0.05, COPIED))


def _nats(equal: NDArray[np.bool_], rate: float) -> float:
    return float(equal.sum() * np.log(rate) + (~equal).sum() * np.log(1 - rate))


def _choices(total: int, size: int) -> float:
    """Return ln(W choose g), the cost in nats of choosing whom to accuse."""
    return float(gammaln(total + 1) - gammaln(size + 1) - gammaln(total - size + 1))


def _best_group(together: Pairs, total: int, usual: float) -> list[int]:
    """Grow a group from each of the strongest pairs while its evidence grows; return the best."""
    copied = np.where(together.equal, np.log(COPIED / usual), np.log((1 - COPIED) / (1 - usual)))
    score: Floats = np.zeros((total, total))
    np.add.at(score, (together.left, together.right), copied)
    score += score.T
    best: tuple[list[int], float] = ([], 0.0)
    first, second = np.triu_indices(total, 1)
    strongest = np.argsort(score[first, second])[::-1][:20]
    for one, other in zip(first[strongest].tolist(), second[strongest].tolist(), strict=True):
        group, gain = [one, other], float(score[one, other])
        while True:
            gains = score[group].sum(0)
            gains[group] = -np.inf
            following = int(gains.argmax())
            if gains[following] <= 0:
                break
            group.append(following)
            gain += float(gains[following])
        if gain > best[1]:
            best = (group, gain)
    return best[0]


def find_guessing(answers: Answers, thresholds: Quality) -> list[Finding]:
    """Find labelers whose answers are guesses, by gold, and by agreement with others and with the reward model.

    The model is a mixture of two kinds of labelers, the careful ones and those at chance. The usual rates are estimated
    from the careful ones. The batch is held if guessers gave more than `guessers_share` of all answers, with enough
    evidence. The evidence compares two rates with one rate for all, minus the cost of choosing whom to accuse.
    """
    total = len(answers.names)
    present = np.bincount(answers.labelers, minlength=total)
    if total < 3 or not len(answers):
        return []
    guess = np.zeros(total)  # posterior
    tests, chance = _tests(answers), 1 / answers.k
    for _ in range(20):
        ratio = _against_guessing(tests, guess < 0.5, chance)
        share = float(np.clip((guess.sum() + 0.5) / (total + 1), 0.02, 0.6))
        ahead = np.log(share) - np.log1p(-share) - ratio
        before, guess = guess, 1 / (1 + np.exp(np.clip(-ahead, -50, 50)))
        if np.abs(guess - before).max() < 1e-4:
            break
    guesses = (guess > 0.5) & (present > 0)
    accused = np.flatnonzero(guesses)
    of_labels = float(present[accused].sum() / max(1, present.sum()))
    gain = _two_kinds(tests, guesses, chance) - _choices(int((present > 0).sum()), len(accused))
    if of_labels < thresholds.guessers_share or gain < thresholds.evidence:
        return []
    bad = answers.take(np.isin(answers.labelers, accused))
    known = bad.take(bad.gold != UNKNOWN)
    numbers = {
        "accused": len(accused),
        "labelers": total,
        "share": of_labels,
        "gold": len(known),
        "right": float((known.samples == known.gold).mean()) if len(known) else 0.0,
        "nats": gain,
    }
    return [Finding(Code.GUESSING, "hold", numbers, tuple(answers.names[who] for who in accused))]


def _tests(answers: Answers) -> list[Trials]:
    """Return the tests of guessing: against gold, the reward model, and other labelers."""
    tests = []
    for truth in (answers.gold, answers.predicted):
        known = answers.take(truth != UNKNOWN)
        tests.append(Trials(known.labelers, None, known.samples == truth[truth != UNKNOWN]))
    together = pairs(answers)
    tests.append(Trials(together.left, together.right, together.equal))
    return tests


def _two_kinds(tests: list[Trials], guesses: NDArray[np.bool_], chance: float) -> float:
    """Return the log-likelihood ratio of these labelers guessing, against all labelers having one rate."""
    gain = 0.0
    for test in tests:
        if len(test.hit) < FEWEST_PAIRS:
            continue
        by_chance = guesses[test.who] if test.other is None else guesses[test.who] | guesses[test.other]
        others = test.hit[~by_chance]
        gain += _nats(others, _rate(others)) + _nats(test.hit[by_chance], chance) - _nats(test.hit, _rate(test.hit))
    return gain


def _against_guessing(tests: list[Trials], good: NDArray[np.bool_], chance: float) -> Floats:
    """Return each labeler's log-likelihood ratio [W] of being as good as the `good` against guessing."""
    ratio: Floats = np.zeros(len(good))
    turned = [Trials(test.other, test.who, test.hit) for test in tests if test.other is not None]
    for test in [*tests, *turned]:  # each labeler of a pair is tested by the other
        who, hit = test.who, test.hit
        if test.other is not None and not good.all():
            trusted = good[test.other]  # disagreement with a guesser shows nothing
            who, hit = who[trusted], hit[trusted]
        of_good = good[who]
        if of_good.sum() < FEWEST_PAIRS:
            continue
        usual = float(np.clip(hit[of_good].mean(), chance + 0.02, 0.98))
        met = np.bincount(who, hit, len(good))
        missed = np.bincount(who, minlength=len(good)) - met
        ratio += met * np.log(usual / chance) + missed * np.log((1 - usual) / (1 - chance))
    return ratio
