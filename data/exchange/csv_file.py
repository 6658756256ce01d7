"""CSV, for those who work in a spreadsheet. Loses nothing; a spreadsheet may, so texts need not come back.

A cell that a spreadsheet would run as a formula gets an apostrophe in front (CWE-1236).
"""

import csv
from pathlib import Path

from data.escape import harmless
from data.exchange.questions import Questions

LOSES = frozenset[str]()  # of what an answer may say


def write(questions: Questions, folder: Path) -> list[Path]:
    path = folder / "questions.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        for number, question in enumerate(questions):
            if number == 0:
                options = [f"option_{position}" for position in range(len(question.options))]
                table.writerow(["question_id", "query", *options, "content_sha256", "instructions"])
            texts = map(harmless, [question.query, *question.options])
            table.writerow([question.question_id, *texts, question.content_sha256, question.instructions])
    return [path]
