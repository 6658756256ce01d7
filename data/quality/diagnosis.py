"""What is wrong with the answers to a batch, found before anything is trained on them.

Three kinds of faults. Of the file: all answers inverted, shifted, not mapped back from shown positions, or joined to
the wrong questions; gold questions and the last reward model show these. Of positions: someone always takes the first.
Of people: guessers, and copies of one another; told from the others by likelihood ratios over all that they answered,
since no labeler answers enough gold questions to be judged by those alone. Evidence is in nats: how much better the
fault explains the answers than its absence, after paying for the choice of whom to accuse.
"""

import numpy as np
from scipy.special import bdtrc

from data.batches.composition import FEWEST_GOLD
from data.batches.key import UNKNOWN
from data.campaign.settings import Quality
from data.measures.agreement import slot_p
from data.measures.intervals import proportion
from data.quality.arrays import Answers, Finding, Severity
from data.quality.spam import find_copying, find_guessing

FEWEST_OF_ONE = 40  # answers before their positions do, of a labeler or of all
CLEAR = 3.0  # nats, to tell an inverted file from one without content
CHANCE = 1e-3  # how probable something may be by chance that is taken for more


def diagnose(answers: Answers, thresholds: Quality) -> list[Finding]:
    """Name what is wrong with the answers to a batch; nothing where they look as answers should."""
    systemic = faults_of_the_file(answers)
    if systemic:
        return systemic
    fixed, rest = find_position_bias(answers, thresholds)
    guessing = find_guessing(rest, thresholds)
    accused = np.isin(rest.labelers, [rest.names.index(name) for finding in guessing for name in finding.labelers])
    copies = find_copying(rest.take(~accused), thresholds)
    copies += find_copying(rest.take(accused), thresholds, usual=1 / answers.k)
    found = [*fixed, *copies, *guessing]
    known = answers.take(answers.gold != UNKNOWN)
    if not found and len(known) >= FEWEST_GOLD:
        right = proportion(float((known.samples == known.gold).sum()), len(known))
        if right.high < thresholds.gold_accuracy or (len(known) >= 40 and right.value < thresholds.gold_accuracy):
            mostly = len(known) >= 40 and right.value < thresholds.gold_reject
            severity: Severity = "reject" if mostly else "hold"
            found.append(Finding("gold questions are often wrong", severity, f"{right} of gold answers are right"))
    return found


def faults_of_the_file(answers: Answers) -> list[Finding]:
    """Look for what happens to all answers at once, by gold questions or else by the last reward model."""
    by_gold = answers.take(answers.gold != UNKNOWN)
    by_model = answers.take(answers.predicted != UNKNOWN)
    if len(by_gold) >= FEWEST_GOLD:
        known, truth, places, source = by_gold, by_gold.gold, by_gold.gold_slots, "gold questions"
    elif len(by_model) >= 100:
        known, truth, places = by_model, by_model.predicted, by_model.predicted_slots
        source = "questions are answered as the last reward model would,"
    else:
        return []
    chance, n = 1 / answers.k, len(known)
    right = proportion(float((known.samples == truth).sum()), n)
    if right.high >= (0.6 if source == "gold questions" else chance + 0.04):
        return []
    shares = {shift: float(((places + shift) % answers.k == known.slots).mean()) for shift in (1, -1)}
    shift = max(shares, key=shares.__getitem__)
    said = f"{right} of {source} right (chance {chance:.2f})"
    # Which explains the known answers better: that the right one is avoided, or that it is met by chance? In nats.
    avoided = n * (right.value * np.log(0.03 / chance) + (1 - right.value) * np.log(0.97 / (1 - chance)))
    if avoided > -CLEAR:
        other = (1 - right.value) / (answers.k - 1)  # what each wrong position gets where they are wrong at random
        if bdtrc(round(shares[shift] * n) - 1, n, other) < CHANCE:  # so many or more of n by chance
            where = "behind" if shift == 1 else "before"
            evidence = f"{said}, and {shares[shift]:.0%} of the answers are one position {where} the right one"
            return [Finding("indices are off by one", "reject", evidence)]
    if avoided > CLEAR:
        return [Finding("answers look inverted", "reject", f"{said}: the best is avoided")]
    if avoided < -CLEAR:
        if source == "gold questions" and bdtrc(round(right.value * n) - 1, n, chance) < CHANCE:
            halves = np.array_split(known.samples == truth, 2)
            first, second = (f"{half.mean():.0%}" for half in halves)
            evidence = f"{said}, {first} in the first half of the rows, {second} in the second"
            return [Finding("part of the answers look wrong", "reject", evidence)]
        return [_without_content(answers, said)]
    unclear = "answers look inverted, or have nothing to do with the texts"
    return [Finding(unclear, "reject", f"{said}: too few to tell which of the two it is")]


def _without_content(answers: Answers, said: str) -> Finding:
    """Answers that have nothing to do with the texts: were positions not mapped back, or rows joined wrongly?"""
    by_shift = {}
    known = answers.gold != UNKNOWN
    for shift in (*range(-5, 0), *range(1, 6)):
        moved = np.roll(answers.slots, shift)
        by_shift[shift] = float((moved[known] == answers.gold_slots[known]).mean()) if known.any() else 0.0
    shift = max(by_shift, key=by_shift.__getitem__)
    met = bdtrc(round(by_shift[shift] * known.sum()) - 1, known.sum(), 1 / answers.k)  # by chance, in one of the shifts
    if by_shift[shift] > 0.6 and met < CHANCE:
        evidence = f"{said}, but {by_shift[shift]:.0%} are if answers move by {-shift:+d} rows"
        return Finding("rows are joined to the wrong questions", "reject", evidence)
    from scipy.stats import spearmanr  # takes a second, and is hardly ever needed

    timed = answers.take(~np.isnan(answers.seconds))
    if len(timed) < 100 or len(set(timed.words.tolist())) < 5:
        evidence = f"{said}, and there are no times that could tell which of the two it is"
        return Finding("slots are not mapped back, or rows are joined to the wrong questions", "reject", evidence)
    follows = float(spearmanr(timed.seconds, timed.words).statistic)
    if follows < 3 / len(timed) ** 0.5:
        evidence = f"{said}, and the time taken does not follow the length of the text (rank correlation {follows:.2f})"
        return Finding("rows are joined to the wrong questions", "reject", evidence)
    evidence = f"{said}, while the time taken follows the length of the text (rank correlation {follows:.2f})"
    return Finding("slots are not mapped back", "reject", evidence)


def find_position_bias(answers: Answers, thresholds: Quality) -> tuple[list[Finding], Answers]:
    """Find labelers who take one position most of the time; return the finding, and the answers of the others."""
    named = []
    chosen_slots = []
    for who, own in enumerate(answers.by_labeler()):
        slots = own.slots
        if not len(slots):
            continue
        share = np.bincount(slots, minlength=answers.k).max() / max(1, len(slots))
        if len(slots) >= FEWEST_OF_ONE and share > 0.6 and slot_p(slots, answers.k) < 1e-4 / len(answers.names):
            named.append(int(who))
            chosen_slots.append(int(np.bincount(slots).argmax()))
    bad = np.isin(answers.labelers, named)
    rest = answers.take(~bad)
    if named:
        where = "the first" if set(chosen_slots) == {0} else "one"
        evidence = (
            f"{len(named)} of {len(answers.names)} labelers take {where} position in most of {bad.sum():,} answers"
        )
        names = tuple(answers.names[who] for who in named)
        return [Finding("always the same position", "hold", evidence, names)], rest
    if (p := slot_p(answers.slots, answers.k)) < 1e-6 and len(answers) >= FEWEST_OF_ONE:
        counts = np.bincount(answers.slots, minlength=answers.k) / len(answers)
        if counts.max() > 1.3 / answers.k:
            shown = ", ".join(f"{share:.0%}" for share in counts)
            return [Finding("positions are not chosen evenly", "hold", f"positions got {shown} (p = {p:.0e})")], rest
    return [], rest
