"""What a batch is made of besides its questions: copies that show agreement, and questions whose answer is known.

To a labeler they are questions like all others: every copy has an id and an order of options of its own, and gold
texts should be of the kind that the campaign samples. Who wrote what, what is a copy of what and which answers are
known stays in the key.
"""

import json
import random
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.batches.schema import Question, Sample
from data.campaign.campaign import SHIPPED
from data.campaign.settings import Batch
from data.errors import Refused

WRITTEN_BY_NOBODY = "gold"
RANDOM, DISAGREEMENT = "random", "disagreement"  # why a question was asked
NO_COPY = -1


def compose(
    questions: Sequence[Question],
    known: Sequence[Question],
    settings: Batch,
    seed: int,
    watched: Sequence[Question] = (),
) -> list[Question]:
    """Return the questions with copies of some of them, known ones, and the fixed comparison, as the campaign says."""
    plan = plan_composition(len(questions), known, settings, seed, watched)
    return [question for _, question in sorted(plan.numbered(questions), key=lambda pair: pair[0])]


@dataclass(frozen=True)
class Composition:
    """The questions of a batch in addition to the drawn ones, planned before any is drawn; four bytes a number."""

    count: int  # how many questions the batch has
    again: int  # further copies of a question in `overlap`
    overlap: Sequence[int]  # for each drawn question the number of its first copy for others, or NO_COPY
    repeat: Sequence[int]  # and of the copy for the same labeler
    tests: Sequence[Question]  # the fixed comparison and gold: they come last

    def numbered(self, questions: Iterable[Question]) -> Iterator[tuple[int, Question]]:
        """Yield every question of the batch with its number in it, each drawn one followed by its copies."""
        for number, question in enumerate(questions):
            yield number, question
            if (first := self.overlap[number]) != NO_COPY:
                copy = replace(question, role="overlap")
                yield from ((first + more, copy) for more in range(self.again))
            if (place := self.repeat[number]) != NO_COPY:
                yield place, replace(question, role="repeat")
        yield from enumerate(self.tests, self.count - len(self.tests))


def plan_composition(
    drawn: int, known: Sequence[Question], settings: Batch, seed: int, watched: Sequence[Question] = ()
) -> Composition:
    """Plan a batch of so many drawn questions, as the campaign says."""
    draw, again = random.Random(seed), settings.overlap_copies - 1
    overlap, repeat = (array("i", [NO_COPY]) * drawn for _ in range(2))
    twice = draw.sample(range(drawn), round(settings.overlap_share * drawn))
    for place, question in enumerate(twice):
        overlap[question] = drawn + again * place
    single = np.flatnonzero(np.array(overlap) == NO_COPY) if settings.repeat_share else np.arange(0)
    first = drawn + again * len(twice)
    once_more = draw.sample(range(len(single)), min(len(single), round(settings.repeat_share * drawn)))
    for place, question in enumerate(single[once_more].tolist(), first):
        repeat[question] = place
    wanted = gold_count(settings, drawn)
    if wanted and not known:
        raise Refused("The campaign wants gold questions (gold_share), but there are none: name a file in batch.gold.")
    turns = [draw.sample(list(known), len(known)) for _ in range(-(-wanted // len(known)))] if wanted else []
    gold = [question for turn in turns for question in turn][:wanted]
    tests = [*(question for question in watched for _ in range(settings.overlap_copies)), *gold]
    return Composition(first + len(once_more) + len(tests), again, overlap, repeat, tests)


def gold_count(settings: Batch, drawn: int) -> int:
    """Return how many known questions go with so many drawn ones: their share, and never too few to say anything."""
    return max(FEWEST_GOLD, round(settings.gold_share * drawn)) if settings.gold_share else 0


def repeat_pairs(key: Path) -> list[tuple[str, str]]:
    """Return each repeat of a batch, by its key file, with the question that its labeler answered or is to answer."""

    def rows(role: str) -> Iterator[tuple[str, str]]:
        for part in pq.ParquetFile(key).iter_batches(10_000, columns=["question_id", "item", "role"]):
            there = part.filter(pc.equal(part.column("role"), role))
            yield from zip(there.column("question_id").to_pylist(), there.column("item").to_pylist(), strict=True)

    again = list(rows("repeat"))
    items = {item for _, item in again}
    first = {item: question for question, item in rows("main") if item in items}
    return [(question, first[item]) for question, item in again]


def read_drift(name: str | None, samples: int) -> list[Question]:
    """Read the fixed comparison that every batch repeats, as gold is read: query, options, and which one is watched."""
    found = read_gold(name, samples)
    return [
        replace(question, query_id=f"drift-{number}", role="drift", gold=None, watched=question.gold)
        for number, question in enumerate(found, 1)
    ]


def read_gold(name: str | None, samples: int) -> list[Question]:
    """Read known questions from JSONL, an object a line: query, options, best (0-based); or raise Refused."""
    if name is None:
        return []
    path = SHIPPED / name if (SHIPPED / name).is_file() else Path(name).expanduser()
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")  # texts hold other ends of lines
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"Gold questions cannot be read from {path}: {error}.") from error
    known = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            options, best = [str(text) for text in row["options"]], int(row["best"])
            query = str(row["query"])
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(f"{path}, line {number}: needs query, options and best ({error}).") from error
        if len(options) != samples or not 0 <= best < samples or len(set(options)) < samples:
            raise Refused(f"{path}, line {number}: needs {samples} different options, and best among them.")
        written = tuple(Sample(text, [], WRITTEN_BY_NOBODY) for text in options)
        known.append(Question(f"gold-{number}", query, [], written, role="gold", gold=best))
    return known


FEWEST_GOLD = 10  # known answers before they say anything
