"""JSON Lines: one question an object, one answer an object, each on a line of its own."""

import json
from pathlib import Path

from data.exchange.columns import AnswerFile
from data.exchange.content import Content
from data.exchange.format import Format
from data.exchange.json_rows import read_rows
from data.exchange.questions import Questions, write_lines


def write(questions: Questions, folder: Path) -> list[Path]:
    lines = (json.dumps(question._asdict(), ensure_ascii=False) for question in questions)
    return [write_lines(folder / "questions.jsonl", lines)]


def read(content: Content) -> AnswerFile:
    return read_rows(content.path, content.names, content.objects())


FORMAT = Format(
    name="jsonl",
    help="JSON Lines, one object a question or answer",
    write_questions=write,
    recognise=lambda content: content.is_lines,
    read=read,
    is_general=True,
)
