"""Bad answer files by the number of their kind (docs/bad-input.md): what each holds, and what must be said of it.

They answer one batch of 200 questions, which is here too.
"""

import csv
import gzip
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq

from data.batches.schema import blind
from data.simulation.faulty_vendor import make_questions
from tests.support.validating import Asked

VENDOR, KEY = blind(make_questions(200, 7, gold=0)[0], "Which?", b"s")
ASKED = {row["question_id"]: Asked(row["content_sha256"], tuple(row["shown"])) for row in KEY.to_pylist()}
IDS = list(ASKED)


def rows(n: int = 200, **changes: Any) -> list[dict[str, Any]]:
    """Return sound answers of one labeler to the first n questions, but for the changes."""
    asked = list(ASKED.items())[:n]
    sound = [{"question_id": name, "content_sha256": question.content_sha256} for name, question in asked]
    return [row | {"labeler_id": "ann", "best": number % 4} | changes for number, row in enumerate(sound)]


Rows = list[dict[str, Any]]
Content: TypeAlias = bytes | str | pa.Table | Callable[[Path], bytes]
HEAD = "question_id,content_sha256,labeler_id,best\n"


def as_csv(given: Rows, path: Path) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(dict.fromkeys(name for row in given for name in row)), restval="")
        table.writeheader()
        table.writerows(given)
    return path


def as_parquet(given: Rows | pa.Table, path: Path) -> Path:
    pq.write_table(given if isinstance(given, pa.Table) else pa.Table.from_pylist(given), path)
    return path


def lines(given: Rows) -> list[str]:
    return [",".join(str(value) for value in row.values()) for row in given]


def with_column(name: str, column: pa.Array) -> pa.Table:
    table = pa.Table.from_pylist(rows())
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, column)
    return table.append_column(name, column)


def of_many_rows(count: int, path: Path) -> bytes:
    """Return a Parquet file that repeats one row: a few kilobytes however many there are."""
    same = pa.array(np.zeros(count, np.int8))
    columns = {name: pa.DictionaryArray.from_arrays(same, [str(value)]) for name, value in rows(1)[0].items()}
    return as_parquet(pa.table(columns | {"best": same}), path).read_bytes()


def as_feather(path: Path) -> bytes:
    pyarrow.feather.write_feather(pa.Table.from_pylist(rows()), path)
    return path.read_bytes()


def in_row_groups(count: int, path: Path) -> bytes:
    pq.write_table(pa.table({"question_id": ["q"] * count}), path, row_group_size=1)
    return path.read_bytes()


def written(content: Content, path: Path) -> Path:
    """Write what a case holds to a file."""
    if isinstance(content, pa.Table):
        return as_parquet(content, path)
    found = content(path) if callable(content) else content
    path.write_bytes(found.encode() if isinstance(found, str) else found)
    return path


BEST = [number % 4 for number in range(200)]
ANNS = pa.array(["ann"] * 200)
NOON = pa.array([datetime(2026, 5, 1, 12)] * 200)  # in some zone
GOOD = HEAD + "\n".join(lines(rows())) + "\n"
LABEL_STUDIO_CSV = "annotation_id,annotator,best,content_sha256,question_id\n1,2,option_1,c,q\n"
FILES: list[tuple[str, Content, str]] = [
    ("1 zero bytes", b"", "is empty"),
    ("2 header only", HEAD, "no rows"),
    ("2 no rows in Parquet", pa.Table.from_pylist(rows()).slice(0, 0), "no rows"),
    ("3 PAR1 only", b"PAR1", "not a whole Parquet"),
    ("3 garbage footer", b"PAR1" + b"\xff" * 300 + b"PAR1", "not a whole Parquet"),
    ("4 zip or xlsx", b"PK\x03\x04 and so on", "zip or Excel"),
    ("4 old Excel", b"\xd0\xcf\x11\xe0 and so on", "Excel"),
    ("6 missing column", GOOD.replace("labeler_id", "who", 1), "lacks the column labeler_id"),
    ("8 a column twice", GOOD.replace("labeler_id", "best", 1), "best twice"),
    ("8 columns without a name", re.sub("(?m)$", ",,", GOOD.strip()), "2 columns without a name"),
    ("10 other case", GOOD.replace("labeler_id", "Labeler ID", 1), "Write labeler_id, not 'Labeler ID'"),
    ("11 a newer version", with_column("schema_version", pa.array(["9.0"] * 200)), "version '9.0'; they are 1.0"),
    ("11 an older version", with_column("schema_version", pa.array(["0.9"] * 200)), "version '0.9'; they are 1.0"),
    ("11 no version", with_column("schema_version", pa.array(["new"] * 200)), "version 'new'; they are 1.0"),
    ("13 nested choice", with_column("best", pa.array([[best] for best in BEST])), "must be an integer"),
    ("13 struct choice", with_column("best", pa.array([{"a": best} for best in BEST])), "must be an integer"),
    ("15 bool choice", with_column("best", pa.array([best > 1 for best in BEST])), "must be an integer"),
    ("16 text choice in Parquet", with_column("best", pa.array([str(best) for best in BEST])), "must be an integer"),
    ("21 counted from one", with_column("best", pa.array([best + 1 for best in BEST])), "look one-based"),
    ("22 letters", with_column("ranking", pa.array(["A"] * 200)), "200 of 200 rows"),
    ("23 another contract", GOOD.replace("best", "canonical_option", 1), "lacks the column best"),
    ("42 times without a zone in Parquet", with_column("answered_at", NOON), "row 1: answered_at has no time zone"),
    ("46 UTF-16", GOOD.encode("utf-16"), "neither Parquet nor UTF-8 text"),
    ("46 UTF-16 without a mark", GOOD.encode("utf-16-le"), "is text, but not UTF-8"),
    ("46 cp1252", GOOD.replace(",ann,", ",Ren\xe9,").encode("cp1252"), "nor UTF-8 text"),
    ("46 mixed", GOOD.encode() + "a,b,Ren\xe9,1\n".encode("cp1252"), "is text, but not UTF-8"),
    ("49 semicolons", GOOD.replace(",", ";"), "Separate columns by commas"),
    ("49 a table of Label Studio", LABEL_STUDIO_CSV, "lacks the column labeler_id.* export JSON"),
    ("49 a line sep=;", "sep=;\n" + GOOD.replace(",", ";"), "Separate columns by commas"),
    ("49 tabs", GOOD.replace(",", "\t"), "Separate columns by commas"),
    ("53 unclosed quote", GOOD.replace(",ann,", ',"ann,', 1), "not a whole CSV|rows cannot be used"),
    ("60 five million rows in 70 kB", lambda path: of_many_rows(5_000_001, path), "5,000,001 rows, more than"),
    ("61 gzip", gzip.compress(bytes(50_000_000)), "gzip.* not packed"),
    ("62 very many columns", HEAD.strip() + "".join(f",c{n}" for n in range(100)) + "\n", "columns, more than 64"),
    ("62 very many columns in Parquet", pa.table({f"c{n}": [0] for n in range(70)}), "70 columns, more than 64"),
    ("62 very many row groups", lambda path: in_row_groups(10_001, path), "10,001 row groups, more than"),
    ("62 deep nesting", with_column("labeler_id", pa.array([[[[[["ann"]]]]]] * 200)), "must be text"),
    ("62 deep nesting in JSON", "[" * 100_000, "not whole JSON"),
    ("63 Arrow IPC", as_feather, "Arrow IPC"),
    ("63 Feather", b"FEA1 and so on", "Feather"),
    ("64 encrypted Parquet", b"PARE and so on", "encrypted"),
]


ROWS: list[tuple[str, dict[str, Any], str]] = [
    ("18 fraction", {"best": "2.5"}, "not an integer"),
    ("18 NaN", {"best": "nan"}, "not an integer"),
    ("18 infinite", {"best": "inf"}, "not an integer"),
    ("19 negative", {"best": "-1"}, "options 0 to 3"),
    ("19 too large", {"best": "4"}, "options 0 to 3"),
    ("19 255", {"best": "255"}, "options 0 to 3"),
    ("19 2^40", {"best": str(2**40)}, "not an integer"),
    ("20 empty choice", {"best": ""}, "best is missing"),
    ("22 letter", {"best": "B"}, "not an integer.* write the position shown, from 0"),
    ("22 a name", {"best": "Option C"}, "not an integer.* write the position shown, from 0"),
    ("22 spaces", {"best": " 2 "}, "not an integer"),
    ("22 TRUE", {"best": "TRUE"}, "not an integer"),
    ("24 other options", {"content_sha256": "0" * 64}, "another text or order"),
    ("24 no content", {"content_sha256": ""}, "content_sha256 is missing"),
    ("26 unknown id", {"question_id": "qbcdfghjkmnpqrstv"}, "not in this batch"),
    ("28 spaces around an id", {"question_id": f" {IDS[7]} "}, "not one of ours"),
    ("28 other case", {"question_id": IDS[7].upper()}, "not one of ours"),
    ("28 look-alike", {"question_id": IDS[7].replace("q", "ԛ", 1)}, "not one of ours"),
    ("29 id as a number", {"question_id": "1.23E+15"}, "not one of ours"),
    ("30 path", {"question_id": "../../etc/passwd"}, "not one of ours"),
    ("30 NUL", {"question_id": IDS[7] + "\0"}, "not one of ours"),
    ("30 line break", {"question_id": IDS[7] + "\n"}, "not one of ours"),
    ("30 very long id", {"question_id": "q" * 10_000}, "not one of ours"),
    ("30 NUL in a name", {"labeler_id": "an\0n"}, "not a name"),
    ("31 no labeler", {"labeler_id": ""}, "labeler_id is missing"),
    ("32 not on the roster", {"labeler_id": "eve"}, "not on the campaign's roster"),
    ("42 no zone", {"answered_at": "2026-05-01T10:00:00"}, "no time zone"),
    ("42 epoch", {"answered_at": "1777777777"}, "not a time|no time zone"),
    ("42 Excel serial", {"answered_at": "45000.5"}, "not a time"),
    ("43 before the export", {"answered_at": "2020-01-01T00:00:00+00:00"}, "before the batch was sent"),
    ("43 in the future", {"answered_at": "2999-01-01T00:00:00+00:00"}, "in the future"),
    ("43 before the first year", {"answered_at": "0001-01-01T00:00:00+14:00"}, "not a time"),
    ("43 after the last year", {"answered_at": "9999-12-31T23:59:59-14:00"}, "not a time"),
    ("44 longer than any clock runs", {"seconds": "1e308"}, "seconds is not a number up to"),
    ("50 decimal comma", {"best": "1,0"}, "not an integer"),
    ("50 thousands", {"best": "1.000,0"}, "not an integer"),
    ("51 a cell cut by Excel", {"note": "x" * 32_767}, "more than 20,000"),
    ("51 a date", {"best": "3-Jan"}, "not an integer"),
    ("56 totals", {"question_id": "Total", "content_sha256": "", "labeler_id": "", "best": "200"}, "missing|not one"),
    ("59 huge text", {"note": "x" * 10_000_000}, "more than 20,000"),
]
