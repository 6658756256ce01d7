"""A delivered file read and judged in this process, against questions without a store."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from data.batches.key import UNKNOWN, Key
from data.errors import Refused
from data.ingest.match import Rules
from data.ingest.parse import read_part
from data.ingest.reader import read
from data.ingest.validate import Verdict, untrustworthy
from data.ingest.validate import judge as judge_rows
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
    return [read_part(part, path.name) for part in read(path).parts]


def judge(path: Path, asked: Mapping[str, Asked], known: pa.Table | None = None, rules: Rules | None = None) -> Verdict:
    known = LABEL.empty_table() if known is None else known
    verdict = judge_rows(read_rows(path), key_of(asked), known, "b1", rules or Rules())
    if (wrong := untrustworthy(verdict, key_of(asked))) is not None:
        raise Refused(f"{path.name}: {': '.join(wrong)}")
    return verdict
