"""Answer files of JSON: one answer an object, or what Label Studio and Argilla export; as an array, or a line each."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pyarrow as pa

from data.batches.contract import ALL_COLUMNS
from data.errors import Refused
from data.escape import first_line
from data.exchange import argilla, label_studio
from data.ingest.columns import ROWS_AT_ONCE, AnswerFile, Chunk, check_columns

MOST_BYTES_OF_JSON = 256 << 20  # of an array, which is read as a whole
READ_FOR_NAMES = 1_000  # objects of JSON, whose columns are the names that any of them has
PAGE = re.compile(r'\s*\{\s*"items"\s*:\s*\[')  # as Argilla's server wraps its records


def read_json(path: Path) -> AnswerFile:
    """Read a full export of Label Studio, records of Argilla, or one answer an object: an array, or a line each."""
    found = _objects(path)
    first = list(islice(found, READ_FOR_NAMES))
    if not first:
        raise Refused(f"{path.name} has no rows: nothing was answered.")
    names = list(dict.fromkeys(_utf8(name) for row in first for name in row))  # a skip may leave out what others have
    everything, ours = chain(first, found), "question_id" in names
    if "annotations" in names and not ours:
        return AnswerFile([], _json_chunks(label_studio.answers(everything)))
    if ({"responses", "fields"} <= {*names} or argilla.is_flat(names)) and not ours:
        return AnswerFile([], _json_chunks(argilla.answers(everything)))
    if {"query", "sample0"} <= {*names}:
        raise Refused(f"{path.name} is a label file of the 2019 release: take it in with andon import.")
    _, ignored, texts = check_columns(path, names)
    return AnswerFile(ignored, _json_chunks(everything, texts), texts)


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of an array, of a page with an array as `items`, or of lines."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            head = file.read(64)
            page = PAGE.match(head) is not None
            lines = head.lstrip().startswith("{") and not page
            file.seek(0)
            if not lines and path.stat().st_size > MOST_BYTES_OF_JSON:
                raise Refused(
                    f"{path.name} is a JSON array of over {MOST_BYTES_OF_JSON:,} bytes: "
                    "deliver it in parts, or as Parquet."
                )
            content: Any = _lines(path, file) if lines else ONCE.decode(file.read())
            for row in content["items"] if page else content:
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
    """Return an object none of whose keys is there twice: which of two answers was meant, nobody knows."""
    if len(found := dict(pairs)) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)} is there twice")
    return found


ONCE = json.JSONDecoder(object_pairs_hook=_once)


def _json_chunks(rows: Iterable[Mapping[str, Any]], texts: Sequence[str] = ()) -> Iterator[Chunk]:
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
        return _utf8(value) if value else value
    return json.dumps(value)


def _utf8(text: str) -> str:
    """Return text that may hold half a surrogate pair, as JSON can write one, as text that files and logs can."""
    return text.encode("utf-8", "replace").decode()
