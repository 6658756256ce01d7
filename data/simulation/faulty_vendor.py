"""A simulated vendor with a known fault, for tests that faults are found.

Every sample has a latent utility. A labeler chooses the sample with the highest utility after Gumbel noise, so choices
follow a softmax. A fault changes the choices of some labelers, or the file as a whole.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.batches.schema import Question, Sample

LABELERS, BAD_SHARE, COPYCATS = 30, 0.25, 12
OPTIONS = 4  # samples of a question
FAULTS = (
    "clean",
    "inverted",
    "off by one",
    "unmapped slots",
    "wrong join",
    "spammers",
    "always first",
    "copycats",
)
WORDS = (
    "the", "a", "of", "and", "to", "in", "was", "he", "it", "her", "she", "had", "with", "as", "his", "not", "at",
    "for", "on", "be", "house", "sea", "ship", "day", "love",
)  # fmt: skip


Choose = Callable[[str, int, bool], int]  # item, labeler, whether to choose the worst -> the chosen sample


class Utility(NamedTuple):
    """The utilities of an item's samples for people, and the sample that the last reward model prefers."""

    utility: NDArray[np.float64]  # [k]
    predicted: int


def make_questions(count: int, seed: int, gold: int) -> tuple[list[Question], list[Question], dict[str, Utility]]:
    """Return `count` questions, `gold` questions with a known best sample, and the utilities by item."""
    draw, numbers = random.Random(seed), np.random.default_rng(seed)
    questions: list[Question] = []
    gold_questions: list[Question] = []
    utilities: dict[str, Utility] = {}
    for number in range(count + gold):
        texts = [" ".join(draw.choices(WORDS, k=draw.randint(8, 28))) for _ in range(OPTIONS + 1)]
        samples = tuple(Sample(text, [], "base") for text in texts[1:])
        utility = numbers.normal(0, 1.0, OPTIONS)
        is_gold = number >= count
        best = int(utility.argmax())
        if is_gold:
            utility[best] += 4  # every careful labeler chooses it
        question = Question(
            f"{seed}-{number}", texts[0], [], samples, "gold" if is_gold else "main", best if is_gold else None
        )
        (gold_questions if is_gold else questions).append(question)
        utilities[question.item] = Utility(utility, int((utility + numbers.gumbel(0, 0.9, OPTIONS)).argmax()))
    return questions, gold_questions, utilities


def chooser(utilities: Mapping[str, Utility], seed: int) -> Choose:
    """Return a function that lets a simulated labeler choose the best sample, or the worst, after noise."""
    draw = np.random.default_rng(seed + 1_000_003)
    noise = draw.uniform(0.6, 1.3, LABELERS)  # scale of each labeler's noise

    def choose(item: str, who: int, worst: bool) -> int:
        utility = utilities[item].utility
        return int(((-utility if worst else utility) + draw.gumbel(0, noise[who], len(utility))).argmax())

    return choose


def answer(key: Sequence[Mapping[str, Any]], choose: Choose, fault: str, seed: int) -> list[dict[str, object]]:
    """Answer the questions of a key like a vendor with one fault; return rows of an answer file in the key's order."""
    draw = np.random.default_rng(seed)
    bad = set(draw.choice(LABELERS, round(BAD_SHARE * LABELERS), replace=False).tolist())
    copying = set(draw.choice(LABELERS, COPYCATS, replace=False).tolist())
    sheet: dict[str, int] = {}  # common answers of the copying labelers
    rows: list[dict[str, object]] = []
    for question in key:
        shown, k = question["shown"], len(question["shown"])
        who = int(draw.integers(LABELERS))
        sample = choose(question["item"], who, fault == "inverted")
        if fault == "copycats" and who in copying:
            sample = sheet.setdefault(question["item"], sample)
        best = shown.index(sample)
        if who in bad and fault in ("spammers", "always first"):
            best = int(draw.integers(k)) if fault == "spammers" else 0
        if fault == "off by one":
            best = (best + 1) % k
        if fault == "unmapped slots":  # the vendor shuffled the options again and did not map the answers back
            best = int(draw.permutation(k)[best])
        words = sum(len(s["text"].split()) for s in question["samples"]) + len(question["query"].split())
        answered = {"labeler_id": f"labeler-{who:02d}", "best": best}
        answered["seconds"] = round(words / 4 * float(draw.lognormal(0, 0.4)), 1)
        rows.append({"question_id": question["question_id"], "content_sha256": question["content_sha256"], **answered})
    if fault == "wrong join":  # only one side was sorted
        order = draw.permutation(len(rows)).tolist()
        moved = [{name: rows[i][name] for name in ("labeler_id", "best", "seconds")} for i in order]
        rows = [row | other for row, other in zip(rows, moved, strict=True)]
    return rows
