"""What a batch is made of besides its questions: copies that show agreement, and questions whose answer is known.

To a labeler they are questions like all others: every copy has an id and an order of options of its own, and gold
texts should be of the kind that the campaign samples. Who wrote what, what is a copy of what and which answers are
known stays in the key.
"""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.batch import Question, Sample
from data.campaign import SHIPPED, Batch
from data.refused import Refused

WRITTEN_BY_NOBODY = "gold"
RANDOM, DISAGREEMENT = "random", "disagreement"  # why a question was asked


def composed(
    questions: Sequence[Question],
    known: Sequence[Question],
    settings: Batch,
    seed: int,
    watched: Sequence[Question] = (),
) -> list[Question]:
    """Return the questions with copies of some of them, known ones, and the fixed comparison, as the campaign says."""
    draw = random.Random(seed)
    twice = draw.sample(list(questions), round(settings.overlap_share * len(questions)))
    copies = [replace(question, role="overlap") for question in twice for _ in range(settings.overlap_copies - 1)]
    single = [question for question in questions if question not in twice] if settings.repeat_share else []
    again = draw.sample(single, min(len(single), round(settings.repeat_share * len(questions))))
    copies += [replace(question, role="repeat") for question in again]
    copies += [question for question in watched for _ in range(settings.overlap_copies)]
    wanted = round(settings.gold_share * len(questions))
    if wanted and not known:
        raise Refused("The campaign wants gold questions (gold_share), but there are none: name a file in batch.gold.")
    turns = [draw.sample(list(known), len(known)) for _ in range(-(-wanted // len(known)))] if wanted else []
    gold = [question for turn in turns for question in turn][:wanted]
    return [*questions, *copies, *gold]


def repeats(key: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return each repeat of a batch with the question that the same labeler answered or is to answer."""
    rows = list(key)
    first = {row["item"]: row["question_id"] for row in rows if row["role"] == "main"}
    return [(row["question_id"], first[row["item"]]) for row in rows if row["role"] == "repeat"]


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
        lines = path.read_text(encoding="utf-8").splitlines()
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
