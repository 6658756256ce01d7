"""JSON Lines: one question an object, one answer an object. Loses nothing."""

import json
from pathlib import Path

from data.exchange.questions import Questions, write_lines

LOSES = frozenset[str]()  # of what an answer may say


def write(questions: Questions, folder: Path) -> list[Path]:
    lines = (json.dumps(question._asdict(), ensure_ascii=False) for question in questions)
    return [write_lines(folder / "questions.jsonl", lines)]
