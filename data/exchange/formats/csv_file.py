"""CSV, for those who work in a spreadsheet. CSV loses nothing; a spreadsheet may, so texts need not come back.

A cell that a spreadsheet would run as a formula gets an apostrophe in front (CWE-1236). Answers are read as text
throughout, because readers that infer types turn ids into numbers, and NA into nothing.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray

from data.errors import Refused
from data.escape import first_line, harmless
from data.exchange.columns import AnswerFile, Chunk, check_columns
from data.exchange.content import Content
from data.exchange.format import Format
from data.exchange.questions import Questions

LONGEST_ROW = 16 << 20  # bytes of a row of CSV
MOST_BROKEN = 1_000  # rows of a CSV file with too few or too many cells


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


def read(content: Content) -> AnswerFile:
    path = content.path
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = next(csv.reader(file, strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"{path.name} is neither Parquet nor UTF-8 text: deliver Parquet, or CSV in UTF-8.") from error
    if "\0" in "".join(names):
        raise Refused(f"{path.name} is text, but not UTF-8 (UTF-16, perhaps): deliver Parquet, or CSV in UTF-8.")
    columns, ignored, texts = check_columns(path, names)
    return AnswerFile(ignored, _csv_chunks(path, [*columns, *texts]), texts)


def _csv_chunks(path: Path, columns: list[str]) -> Iterator[Chunk]:
    broken: dict[int, str] = {}

    def skip(row: pyarrow.csv.InvalidRow) -> str:
        broken[row.number - 1] = row.text  # its number counts the header
        return "skip" if len(broken) <= MOST_BROKEN else "error"

    as_text = pa.csv.ConvertOptions(
        column_types={name: pa.string() for name in columns}, include_columns=columns, strings_can_be_null=False
    )
    cells = pa.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip)
    lines = pa.csv.ReadOptions(use_threads=False, block_size=LONGEST_ROW)  # else rows have no numbers
    number, whole = 1, 0
    try:
        with pa.csv.open_csv(path, lines, cells, as_text) as reader:
            for batch in reader:
                numbers = np.arange(number, number + len(batch))
                gone = sorted(each for each in broken if each >= number)
                for each in gone:
                    numbers[numbers >= each] += 1
                mine = [each for each in gone if not len(batch) or each < numbers[-1]]
                number = int(numbers[-1]) + 1 if len(batch) else number
                whole += len(batch)
                held = _held(batch)
                if held.any() or mine:
                    yield Chunk(numbers[held], batch.filter(pa.array(held)), [(each, broken[each]) for each in mine])
        if broken and not whole:
            raise Refused(
                f"{path.name} is not a whole CSV file: row {min(broken)}: has too few or too many cells, and so "
                "has every other one. Was a quote left open?"
            )
        if rest := [(each, text) for each, text in sorted(broken.items()) if each >= number]:
            yield Chunk(np.arange(0), pa.RecordBatch.from_pylist([], pa.schema([])), rest)
    except pa.ArrowInvalid as error:
        if "UTF8" in str(error):
            raise Refused(
                f"{path.name} is text, but not UTF-8 throughout: deliver Parquet, or CSV in UTF-8."
            ) from error
        raise Refused(f"{path.name} is not a whole CSV file ({first_line(error)}): deliver it again.") from error


def _held(batch: pa.RecordBatch) -> NDArray[np.bool_]:
    """Return which rows say anything: a spreadsheet ends in rows of commas wherever a cell was once touched."""
    filled = [pc.not_equal(pc.utf8_trim_whitespace(column), "") for column in batch.columns]
    held: NDArray[np.bool_] = np.logical_or.reduce([column.to_numpy(zero_copy_only=False) for column in filled])
    return held


FORMAT = Format(
    name="csv",
    help="CSV in UTF-8 for a spreadsheet, one question or answer a row",
    write_questions=write,
    recognise=lambda content: not content.is_json,
    read=read,
    is_general=True,
)
