"""A delivered file read and judged in this process, against questions without a store."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from data.batches.key import UNKNOWN, Key
from data.errors import Refused
from data.ingest.match import RowLimits
from data.ingest.parse import parse_rows
from data.ingest.reader import open_answers
from data.ingest.validate import FileResult, file_fault, validate
from data.labels.table import LABEL


class Asked(NamedTuple):
    """What the batch knows of one question."""

    content_sha256: str
    shown: tuple[int, ...]  # shown[position] = index of the sample


def key_of(asked: Mapping[str, Asked]) -> Key:
    count = len(asked)
    hashes = [question.content_sha256 for question in asked.values()]
    shown = np.array([question.shown for question in asked.values()], np.int64)
    none, words = np.full(count, UNKNOWN), np.ones(count, int)
    return Key(pa.array(asked), pa.array(hashes), shown, np.arange(count), none, none, words)


def read_rows(path: Path) -> list[pa.RecordBatch]:
    return [parse_rows(part, path.name) for part in open_answers(path).chunks]


def validate_file(
    path: Path, asked: Mapping[str, Asked], known: pa.Table | None = None, limits: RowLimits | None = None
) -> FileResult:
    known = LABEL.empty_table() if known is None else known
    result = validate(read_rows(path), key_of(asked), known, "b1", limits or RowLimits())
    if (wrong := file_fault(result, key_of(asked))) is not None:
        raise Refused(f"{path.name}: {': '.join(wrong)}")
    return result
