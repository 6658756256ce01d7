"""Objects of JSON files, and answers as rows of text, for all formats that are JSON."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pyarrow as pa

from data.batches.contract import ALL_COLUMNS
from data.errors import Refused
from data.escape import first_line, valid_utf8
from data.exchange.columns import ROWS_AT_ONCE, AnswerFile, Chunk, check_columns

MOST_BYTES_OF_JSON = 256 << 20  # largest array, because an array is read at once
PAGE = re.compile(r'\s*\{\s*"items"\s*:\s*\[')  # Argilla's server wraps its records in `items`


def read_rows(path: Path, names: list[str], objects: Iterable[Mapping[str, Any]]) -> AnswerFile:
    """Read objects with one answer each; `names` are the names of all columns."""
    _, ignored, texts = check_columns(path, names)
    return AnswerFile(ignored, json_chunks(objects, texts), texts)


def is_page(head: str) -> bool:
    """Return whether a file begins like a page of Argilla's server, which wraps its records in `items`."""
    return PAGE.match(head) is not None


def read_objects(path: Path, is_lines: bool) -> Iterator[dict[str, Any]]:
    """Yield the objects of lines, of an array, or of a page with an array as `items`."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            if not is_lines and path.stat().st_size > MOST_BYTES_OF_JSON:
                raise Refused(
                    f"{path.name} is a JSON array of over {MOST_BYTES_OF_JSON:,} bytes: "
                    "deliver it in parts, or as Parquet."
                )
            content: Any = _lines(path, file) if is_lines else ONCE.decode(file.read())
            for row in content["items"] if isinstance(content, dict) else content:
                if not isinstance(row, dict):
                    raise Refused(f"{path.name} is JSON without objects: deliver one object an answer.")
                yield row
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise Refused(f"{path.name} is not whole JSON in UTF-8 ({first_line(error)}): deliver it again.") from error


def _lines(path: Path, file: TextIO) -> Iterator[Any]:
    for number, line in enumerate((line for line in file if line.strip()), 1):
        try:
            yield ONCE.decode(line)
        except (ValueError, RecursionError) as error:
            why = error.msg if isinstance(error, json.JSONDecodeError) else first_line(error)
            raise Refused(
                f"{path.name}: row {number:,} is not a whole JSON object ({why}): deliver one a line, or an array."
            ) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; raise ValueError if it has a key twice, because one of two answers would be lost."""
    if len(once := dict(pairs)) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)} is there twice")
    return once


ONCE = json.JSONDecoder(object_pairs_hook=_once)


def json_chunks(rows: Iterable[Mapping[str, Any]], texts: Sequence[str] = ()) -> Iterator[Chunk]:
    """Yield answers as chunks of text, numbered from 1."""
    number, waiting = 1, iter(rows)
    while part := list(islice(waiting, ROWS_AT_ONCE)):
        columns = {
            name: pa.array([_as_text(row.get(name)) for row in part], pa.string()) for name in (*ALL_COLUMNS, *texts)
        }
        yield Chunk(np.arange(number, number + len(part)), pa.RecordBatch.from_pydict(columns), [])
        number += len(part)


def _as_text(value: object) -> str | None:
    """Write a value of JSON as a CSV file would."""
    if value is None or isinstance(value, str):
        return valid_utf8(value) if value else value
    return json.dumps(value)
