"""What is wrong with the answers to a batch, found before anything is trained on them.

Three kinds of faults. Of the file: all answers inverted, shifted, not mapped back from shown positions, or joined to
the wrong questions; gold questions and the last reward model show these. Of positions: someone always takes the first.
Of people: guessers, and copies of one another; told from the others by likelihood ratios over all that they answered,
since no labeler answers enough gold questions to be judged by those alone. Evidence is in nats: how much better the
fault explains the answers than its absence, after paying for the choice of whom to accuse.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import binomtest, spearmanr

from data.agreement import slot_p
from data.campaign import Quality
from data.evidence import UNKNOWN, Answers
from data.statistics import proportion

Severity = Literal["reject", "hold"]
FEWEST = 10  # known answers before they say anything
FEWEST_OF_ONE = 40  # answers of a labeler before their positions do
Floats = NDArray[np.float64]


class Finding(NamedTuple):
    """One fault, what shows it, and whose answers it concerns (empty: everybody's)."""

    fault: str
    severity: Severity
    evidence: str
    labelers: tuple[str, ...] = ()


def diagnose(answers: Answers, policy: Quality) -> list[Finding]:
    """Name what is wrong with the answers to a batch; nothing where they look as answers should."""
    systemic = faults_of_the_file(answers)
    if systemic:
        return systemic
    fixed, rest = position_lovers(answers, policy)
    copies = copycats(rest, policy)
    guessing = guessers(rest, policy)
    found = [*fixed, *copies, *guessing]
    known = answers.take(answers.gold != UNKNOWN)
    if not found and len(known) >= FEWEST:
        right = proportion(float((known.samples == known.gold).sum()), len(known))
        if right.high < policy.gold_accuracy or (len(known) >= 40 and right.value < policy.gold_accuracy):
            mostly = len(known) >= 40 and right.value < policy.gold_reject
            severity: Severity = "reject" if mostly else "hold"
            found.append(Finding("gold questions are often wrong", severity, f"{right} of gold answers are right"))
    return found


def faults_of_the_file(answers: Answers) -> list[Finding]:
    """Look for what happens to all answers at once, by gold questions or else by the last reward model."""
    by_gold = answers.take(answers.gold != UNKNOWN)
    by_model = answers.take(answers.predicted != UNKNOWN)
    if len(by_gold) >= FEWEST:
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
    # Which explains the known answers best: that the right one is avoided, or that it is met by chance?
    avoided = right.value * np.log(0.03 / chance) + (1 - right.value) * np.log(0.97 / (1 - chance))
    if avoided > 0 or right.high < chance:
        other = (1 - right.value) / (answers.k - 1)  # what each wrong position gets where they are wrong at random
        if binomtest(round(shares[shift] * n), n, other, alternative="greater").pvalue < 1e-3:
            where = "behind" if shift == 1 else "before"
            evidence = f"{said}, and {shares[shift]:.0%} of the answers are one position {where} the right one"
            return [Finding("indices are off by one", "reject", evidence)]
    if avoided > 0:
        return [Finding("answers look inverted", "reject", f"{said}: the best is avoided")]
    return [_without_content(answers, said)]


def _without_content(answers: Answers, said: str) -> Finding:
    """Answers that have nothing to do with the texts: were positions not mapped back, or rows joined wrongly?"""
    by_shift = {}
    for shift in (*range(-5, 0), *range(1, 6)):
        moved = np.roll(answers.slots, shift)
        known = answers.gold != UNKNOWN
        by_shift[shift] = float((moved[known] == answers.gold_slots[known]).mean()) if known.any() else 0.0
    shift = max(by_shift, key=by_shift.__getitem__)
    if by_shift[shift] > 0.6:
        evidence = f"{said}, but {by_shift[shift]:.0%} are if answers move by {-shift:+d} rows"
        return Finding("rows are joined to the wrong questions", "reject", evidence)
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


def position_lovers(answers: Answers, policy: Quality) -> tuple[list[Finding], Answers]:
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
    if (p := slot_p(answers.slots, answers.k)) < 1e-6 and len(answers) >= 400:
        counts = np.bincount(answers.slots, minlength=answers.k) / len(answers)
        if counts.max() > 1.3 / answers.k:
            shown = ", ".join(f"{share:.0%}" for share in counts)
            return [Finding("positions are not chosen evenly", "hold", f"positions got {shown} (p = {p:.0e})")], rest
    return [], rest


class Pairs(NamedTuple):
    """Every two answers of different labelers to one item."""

    left: NDArray[np.int64]  # index of a labeler
    right: NDArray[np.int64]
    equal: NDArray[np.bool_]


def pairs(answers: Answers) -> Pairs:
    order = np.argsort(answers.items, kind="stable")
    items, who, what = answers.items[order], answers.labelers[order], answers.samples[order]
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]] = []
    for distance in range(1, 40):
        same = items[distance:] == items[:-distance]
        if not same.any():
            break
        a, b = np.flatnonzero(same), np.flatnonzero(same) + distance
        kept = who[a] != who[b]
        a, b = a[kept], b[kept]
        found.append((who[a], who[b], what[a] == what[b]))
    if not found:
        none = np.zeros(0, np.int64)
        return Pairs(none, none, none.astype(bool))
    left, right, equal = (np.concatenate(columns) for columns in zip(*found, strict=True))
    return Pairs(left, right, equal)


def copycats(answers: Answers, policy: Quality) -> list[Finding]:
    """Find a group of labelers who answer alike beyond what the others' agreement predicts (greedy, from every pair).

    The evidence pays ln(W choose g) for the choice of g of W labelers.
    """
    together = pairs(answers)
    total = len(answers.names)
    if len(together.equal) < 30:
        return []
    usual = min(0.9, max(0.05, float(together.equal.mean())))
    for _ in range(4):  # the usual agreement is that of those outside the group
        copied = np.where(together.equal, np.log(0.97 / usual), np.log(0.03 / (1 - usual)))
        score: Floats = np.zeros((total, total))
        np.add.at(score, (together.left, together.right), copied)
        score += score.T
        group, gain = _best_group(score)
        inside = np.isin(together.left, group) & np.isin(together.right, group)
        if not inside.any() or inside.all():
            break
        usual = min(0.9, max(0.05, float(together.equal[~inside].mean())))
    size = len(group)
    price = float(gammaln(total + 1) - gammaln(size + 1) - gammaln(total - size + 1)) if group else 0.0
    if size < 2 or gain - price < policy.evidence:
        return []
    alike = float(together.equal[inside].mean())
    evidence = (
        f"{size} labelers agree in {alike:.0%} of {inside.sum()} shared items, all others in {usual:.0%} "
        f"({gain - price:.0f} nats)"
    )
    return [Finding("accounts copy each other", "hold", evidence, tuple(sorted(answers.names[who] for who in group)))]


def _best_group(score: Floats) -> tuple[list[int], float]:
    """Grow a group from each of the strongest pairs while the sum of its scores grows; return the best, and its sum."""
    best: tuple[list[int], float] = ([], 0.0)
    strongest = np.argsort(np.triu(score, 1), axis=None)[::-1][:20]
    for start in strongest:
        first, second = divmod(int(start), len(score))
        group, total = [first, second], float(score[first, second])
        while True:
            gains = score[group].sum(0)
            gains[group] = -np.inf
            following = int(gains.argmax())
            if gains[following] <= 0:
                break
            group.append(following)
            total += float(gains[following])
        if total > best[1]:
            best = (group, total)
    return best


def guessers(answers: Answers, policy: Quality) -> list[Finding]:
    """Find labelers whose answers look like guesses: by gold, by agreement with others and with the reward model.

    A mixture of two kinds of labelers, those as good as the rest and those at chance; what is usual is estimated from
    the former. Held where guessers gave more than `guessers_share` of all answers, with evidence.
    """
    total = len(answers.names)
    present = np.bincount(answers.labelers, minlength=total)
    if total < 3 or not len(answers):
        return []
    guess = np.zeros(total)  # posterior
    gain = 0.0
    for _ in range(20):
        ratio = _against_guessing(answers, guess < 0.5)
        share = float(np.clip((guess.sum() + 0.5) / (total + 1), 0.02, 0.6))
        ahead = np.log(share) - np.log1p(-share) - ratio
        before, guess = guess, 1 / (1 + np.exp(np.clip(-ahead, -50, 50)))
        mixed = np.logaddexp(np.log1p(-share) + ratio, np.log(share))
        gain = float((mixed - ratio)[present > 0].sum())
        if np.abs(guess - before).max() < 1e-4:
            break
    accused = np.flatnonzero((guess > 0.5) & (present > 0))
    of_labels = float(present[accused].sum() / max(1, present.sum()))
    if of_labels < policy.guessers_share or gain < policy.evidence:
        return []
    bad = answers.take(np.isin(answers.labelers, accused))
    known = bad.take(bad.gold != UNKNOWN)
    gold = f"; their gold accuracy is {(known.samples == known.gold).mean():.2f} of {len(known)}" if len(known) else ""
    evidence = f"{len(accused)} of {total} labelers, with {of_labels:.0%} of the answers, answer at random{gold}"
    names = tuple(answers.names[who] for who in accused)
    return [Finding("some labelers answer at random", "hold", f"{evidence} ({gain:.0f} nats)", names)]


def _against_guessing(answers: Answers, good: NDArray[np.bool_]) -> Floats:
    """Return each labeler's log-likelihood ratio [W] of being as good as the `good` against guessing."""
    total, chance = len(answers.names), 1 / answers.k
    ratio: Floats = np.zeros(total)
    tests = []
    for truth in (answers.gold, answers.predicted):
        known = answers.take(truth != UNKNOWN)
        tests.append((known.labelers, known.samples == truth[truth != UNKNOWN]))
    together = pairs(answers)
    for one, other in ((together.left, together.right), (together.right, together.left)):
        trusted = good[other]  # a guesser disagrees with everybody, which says nothing of the others
        tests.append((one[trusted], together.equal[trusted]))
    for who, hit in tests:
        of_good = good[who]
        if of_good.sum() < 20:
            continue
        usual = float(np.clip(hit[of_good].mean(), chance + 0.02, 0.98))
        weight = np.where(hit, np.log(usual / chance), np.log((1 - usual) / (1 - chance)))
        ratio += np.bincount(who, weight, total)
    return ratio
