"""Diagnosis: the faults of the answers to a batch, found before anything is trained on them.

There are three kinds of faults:
- The file: all answers are inverted, shifted, not mapped back from shown positions, or joined to the wrong questions.
  Gold questions and the last reward model show this.
- Positions: a labeler always chooses the same one.
- Labelers: some guess, or copy each other. Likelihood ratios over all their answers show this, because no labeler has
  enough gold questions.

Evidence is in nats: the log-likelihood ratio of the fault, minus the cost of choosing whom to accuse.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import bdtrc

from data.batches.composition import FEWEST_GOLD
from data.batches.key import UNKNOWN
from data.campaign.settings import Quality
from data.labels.findings import Code, Finding, Numbers, Severity, Source
from data.measures.agreement import Integers, slot_p
from data.measures.intervals import Estimate, proportion
from data.quality.arrays import Answers
from data.quality.spam import find_copying, find_guessing

FEWEST_BY_MODEL = 100  # smallest number of answers that the reward model's view tests
FEWEST_OF_ONE = 40  # smallest number of answers, of a labeler or of all, whose positions are tested
CLEAR = 3.0  # evidence in nats that distinguishes an inverted file from one without content
CHANCE = 1e-3  # largest probability by chance of an effect that counts as a fault


def diagnose(answers: Answers, thresholds: Quality) -> list[Finding]:
    """Return the faults of the answers to a batch."""
    systemic = faults_of_the_file(answers)
    if systemic:
        return systemic
    fixed, rest = find_position_bias(answers, thresholds)
    guessing = find_guessing(rest, thresholds)
    accused = np.isin(rest.labelers, [rest.names.index(name) for finding in guessing for name in finding.labelers])
    copies = find_copying(rest.take(~accused), thresholds)
    copies += find_copying(rest.take(accused), thresholds, usual=1 / answers.k)
    findings = [*fixed, *copies, *guessing]
    known = answers.take(answers.gold != UNKNOWN)
    if not findings and len(known) >= FEWEST_GOLD:
        right = proportion(float((known.samples == known.gold).sum()), len(known))
        if right.high < thresholds.gold_accuracy or (len(known) >= 40 and right.value < thresholds.gold_accuracy):
            mostly = len(known) >= 40 and right.value < thresholds.gold_reject
            severity: Severity = "reject" if mostly else "hold"
            numbers = {"right": right.value, "low": right.low, "high": right.high}
            findings.append(Finding(Code.GOLD_WRONG, severity, numbers))
    return findings


class KnownAnswers(NamedTuple):
    """The answers whose best sample is known: by gold questions, or else by the last reward model."""

    answers: Answers
    truth: Integers  # [N], which sample is best
    places: Integers  # [N], where that one was shown
    source: Source

    @property
    def right(self) -> Estimate:
        """The share of right answers."""
        return proportion(float((self.answers.samples == self.truth).sum()), len(self.answers))

    @property
    def look_wrong(self) -> bool:
        """Whether clearly fewer answers are right than of people who read the texts."""
        return self.right.high < (0.6 if self.source == Source.GOLD else 1 / self.answers.k + 0.04)

    def of_labeler(self, number: int) -> "KnownAnswers":
        """Return those of one labeler, by index."""
        own = self.answers.labelers == number
        return KnownAnswers(self.answers.take(own), self.truth[own], self.places[own], self.source)


def known_answers(answers: Answers) -> KnownAnswers | None:
    """Return the answers whose best sample is known; None if they are too few to say anything."""
    by_gold = answers.take(answers.gold != UNKNOWN)
    if len(by_gold) >= FEWEST_GOLD:
        return KnownAnswers(by_gold, by_gold.gold, by_gold.gold_slots, Source.GOLD)
    by_model = answers.take(answers.predicted != UNKNOWN)
    if len(by_model) >= FEWEST_BY_MODEL:
        return KnownAnswers(by_model, by_model.predicted, by_model.predicted_slots, Source.REWARD_MODEL)
    return None


def faults_of_the_file(answers: Answers) -> list[Finding]:
    """Return the fault of the whole file, by gold questions, or else by the last reward model."""
    tested = known_answers(answers)
    if tested is None or not tested.look_wrong:
        return []
    known, truth, places, source = tested
    chance, n, right = 1 / answers.k, len(known), tested.right
    shares = {shift: float(((places + shift) % answers.k == known.slots).mean()) for shift in (1, -1)}
    shift = max(shares, key=shares.__getitem__)
    numbers: dict[str, float | int | str] = {
        "source": source,
        "right": right.value,
        "low": right.low,
        "high": right.high,
        "chance": chance,
    }
    # Log-likelihood ratio in nats: the right answer is avoided, or it is met by chance.
    avoided = n * (right.value * np.log(0.03 / chance) + (1 - right.value) * np.log(0.97 / (1 - chance)))
    if avoided > -CLEAR:
        other = (1 - right.value) / (answers.k - 1)  # share of each wrong position if errors are random
        if bdtrc(round(shares[shift] * n) - 1, n, other) < CHANCE:  # probability of at least this share by chance
            side = "behind" if shift == 1 else "before"
            return [Finding(Code.OFF_BY_ONE, "reject", numbers | {"shifted": shares[shift], "side": side})]
    if avoided > CLEAR:
        return [Finding(Code.INVERTED, "reject", numbers)]
    if avoided < -CLEAR:
        if source == Source.GOLD and bdtrc(round(right.value * n) - 1, n, chance) < CHANCE:
            first, second = np.array_split(known.samples == truth, 2)
            halves = {"first_half": float(first.mean()), "second_half": float(second.mean())}
            return [Finding(Code.PARTLY_WRONG, "reject", numbers | halves)]
        return [_without_content(answers, numbers)]
    return [Finding(Code.INVERTED_OR_RANDOM, "reject", numbers)]


def _without_content(answers: Answers, numbers: Numbers) -> Finding:
    """Return the fault of answers without relation to the texts: positions not mapped back, or rows joined wrongly."""
    by_shift = {}
    known = answers.gold != UNKNOWN
    for shift in (*range(-5, 0), *range(1, 6)):
        moved = np.roll(answers.slots, shift)
        by_shift[shift] = float((moved[known] == answers.gold_slots[known]).mean()) if known.any() else 0.0
    shift = max(by_shift, key=by_shift.__getitem__)
    met = bdtrc(round(by_shift[shift] * known.sum()) - 1, known.sum(), 1 / answers.k)  # probability by chance
    if by_shift[shift] > 0.6 and met < CHANCE:
        return Finding(Code.WRONG_JOIN, "reject", {**numbers, "matching": by_shift[shift], "shift": -shift})
    from scipy.stats import spearmanr  # imported here because it loads for a second and is rarely needed

    timed = answers.take(~np.isnan(answers.seconds))
    if len(timed) < 100 or len(set(timed.words.tolist())) < 5:
        return Finding(Code.UNMAPPED_OR_WRONG_JOIN, "reject", numbers)
    if len(set(timed.seconds.tolist())) < 2:  # a tool that writes one time for all says nothing
        return Finding(Code.UNMAPPED_OR_WRONG_JOIN, "reject", numbers)
    follows = float(spearmanr(timed.seconds, timed.words).statistic)
    code = Code.WRONG_JOIN if follows < 3 / len(timed) ** 0.5 else Code.UNMAPPED
    return Finding(code, "reject", {**numbers, "correlation": follows})


def find_position_bias(answers: Answers, thresholds: Quality) -> tuple[list[Finding], Answers]:
    """Find labelers who choose one position most of the time; return the finding, and the answers of the others."""
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
        numbers = {
            "accused": len(named),
            "labelers": len(answers.names),
            "position": "the first" if set(chosen_slots) == {0} else "one",
            "answers": int(bad.sum()),
        }
        names = tuple(answers.names[who] for who in named)
        return [Finding(Code.SAME_POSITION, "hold", numbers, names)], rest
    if (p := slot_p(answers.slots, answers.k)) < 1e-6 and len(answers) >= FEWEST_OF_ONE:
        counts = np.bincount(answers.slots, minlength=answers.k) / len(answers)
        if counts.max() > 1.3 / answers.k:
            shares = ", ".join(f"{share:.0%}" for share in counts)
            return [Finding(Code.UNEVEN_POSITIONS, "hold", {"shares": shares, "p": p})], rest
    return [], rest
