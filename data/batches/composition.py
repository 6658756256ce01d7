"""The composition of a batch: its questions, copies of them that measure agreement, gold questions, drift questions.

Labelers cannot tell them apart. Every copy has its own id and order of options, and gold texts should resemble the
samples of the campaign. Only the key has the writers of samples, the copies, and the known answers.
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
from data.escape import first_line
from data.plain_file import read_plain

GOLD_POLICY = "gold"  # the policy of samples that no policy wrote
RANDOM, DISAGREEMENT = "random", "disagreement"  # selection reasons
FEWEST_GOLD = 10  # smallest number of gold answers that measures a labeler
NO_COPY = -1
MOST_BYTES_OF_GOLD = 64 << 20


def compose(
    questions: Sequence[Question],
    known: Sequence[Question],
    settings: Batch,
    seed: int,
    watched: Sequence[Question] = (),
) -> list[Question]:
    """Return the questions with the copies, gold questions and drift questions that the settings ask for."""
    plan = plan_composition(len(questions), known, settings, seed, watched)
    return [question for _, question in sorted(plan.numbered(questions), key=lambda pair: pair[0])]


@dataclass(frozen=True)
class Composition:
    """The plan of a batch, made before its questions are drawn. It needs eight bytes for each drawn question."""

    count: int  # number of questions in the batch
    again: int  # further copies of a question in `overlap`
    overlap: Sequence[int]  # for each drawn question the number of its first copy for other labelers, or NO_COPY
    repeat: Sequence[int]  # for each drawn question the number of its copy for the same labeler, or NO_COPY
    tests: Sequence[Question]  # drift and gold questions, which come last

    def numbered(self, questions: Iterable[Question]) -> Iterator[tuple[int, Question]]:
        """Yield every question of the batch with its number, each drawn question followed by its copies."""
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
    """Return the plan of a batch with `drawn` drawn questions; raise Refused if gold questions are missing."""
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
        raise Refused("The campaign has a gold_share, but no gold questions. Name a file of them in batch.gold.")
    turns = [draw.sample(list(known), len(known)) for _ in range(-(-wanted // len(known)))] if wanted else []
    gold = [question for turn in turns for question in turn][:wanted]
    tests = [*(question for question in watched for _ in range(settings.overlap_copies)), *gold]
    return Composition(first + len(once_more) + len(tests), again, overlap, repeat, tests)


def gold_count(settings: Batch, drawn: int) -> int:
    """Return the number of gold questions for `drawn` drawn ones: their share, but at least FEWEST_GOLD."""
    return max(FEWEST_GOLD, round(settings.gold_share * drawn)) if settings.gold_share else 0


def repeat_pairs(key: Path) -> list[tuple[str, str]]:
    """Return each repeat of a batch, from its key file, with the question that it repeats for the same labeler."""

    def rows(role: str) -> Iterator[tuple[str, str]]:
        for part in pq.ParquetFile(key).iter_batches(10_000, columns=["question_id", "item", "role"]):
            found = part.filter(pc.equal(part.column("role"), role))
            yield from zip(found.column("question_id").to_pylist(), found.column("item").to_pylist(), strict=True)

    again = list(rows("repeat"))
    items = {item for _, item in again}
    first = {item: question for question, item in rows("main") if item in items}
    return [(question, first[item]) for question, item in again]


def read_drift(name: str | None, samples: int) -> list[Question]:
    """Read the drift questions that every batch repeats. The file is like a gold file; `best` is the watched option."""
    return [
        replace(question, query_id=f"drift-{number}", role="drift", gold=None, watched=question.gold)
        for number, question in enumerate(read_gold(name, samples), 1)
    ]


def read_gold(name: str | None, samples: int) -> list[Question]:
    """Read gold questions from JSONL with query, options and best (0-based) on each line; or raise Refused."""
    if name is None:
        return []
    path = SHIPPED / name if (SHIPPED / name).is_file() else Path(name).expanduser()
    try:
        lines = read_plain(path, MOST_BYTES_OF_GOLD).decode().removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = first_line(error)
        raise Refused(
            f"Gold questions cannot be read from {path}: {reason}. Correct batch.gold or the file."
        ) from error
    questions = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            options, best = [str(text) for text in row["options"]], int(row["best"])
            query = str(row["query"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            reason = first_line(error)
            raise Refused(f"{path}, line {number}: needs query, options and best ({reason}). Correct it.") from error
        if len(options) != samples or not 0 <= best < samples or len(set(options)) < samples:
            raise Refused(f"{path}, line {number}: needs {samples} different options, and best among them. Correct it.")
        written = tuple(Sample(text, [], GOLD_POLICY) for text in options)
        questions.append(Question(f"gold-{number}", query, [], written, role="gold", gold=best))
    return questions
