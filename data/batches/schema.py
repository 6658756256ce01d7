"""The tables of a batch: the questions that labelers see, and the key, which stays in the store.

The vendor's file does not reveal the writer of a sample. Ids and the order of rows and options are derived from a
secret of the batch, never from texts or policies, and the metadata of Parquet has only the schema. The key maps options
back to samples.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.canonical import canonical_json, sha256, sha256_of_file

SCHEMA_VERSION = "1.0"
ROLES = ("main", "overlap", "repeat", "gold", "drift")
TESTS = ("gold", "drift")  # roles of questions that test labelers and are never trained on
QUESTION_ID = re.compile(r"q[bcdfghjkmnpqrstv]{16}")
ROWS_PER_FILE = 20_000
CHOSEN = ("watched", "selection_reason", "selection_score")
PARQUET: dict[str, Any] = {
    "compression": "zstd",
    "use_dictionary": False,
    "write_page_checksum": True,
    "store_schema": False,
}
SAMPLE = pa.struct([("text", pa.string()), ("tokens", pa.list_(pa.int32())), ("policy", pa.string())])
KEY_SCHEMA = pa.schema(
    [
        ("question_id", pa.string()),
        ("content_sha256", pa.string()),
        ("query_id", pa.string()),
        ("query", pa.string()),
        ("query_tokens", pa.list_(pa.int32())),
        ("samples", pa.list_(SAMPLE)),  # in the order in which they were drawn
        ("shown", pa.list_(pa.int8())),  # shown[position] = index of the sample at that position
        ("item", pa.string()),  # the same for all copies of a question
        ("role", pa.string()),  # one of ROLES
        ("gold", pa.int8()),  # index of the sample that is known to be best
        ("watched", pa.int8()),  # index of the watched sample of a drift question
        ("selection_reason", pa.string()),  # `random`, `disagreement` or `rework`; null if it was not selected
        ("selection_score", pa.float32()),  # disagreement of the reward models in nats
    ]
)


@dataclass(frozen=True)
class Sample:
    """One response: its text for people, its sampled tokens, and the policy that wrote it."""

    text: str
    tokens: list[int]
    policy: str


@dataclass(frozen=True)
class Question:
    """A query and its k samples, before blinding."""

    query_id: str
    query: str
    query_tokens: list[int]
    samples: tuple[Sample, ...]
    role: str = "main"  # one of ROLES
    gold: int | None = None
    watched: int | None = None
    selection_reason: str | None = None
    selection_score: float | None = None

    @property
    def item(self) -> str:
        """The id that all copies of a question share."""
        return "i" + sha256(canonical_json([self.query, [sample.text for sample in self.samples]]))[:15]


def questions_schema(samples: int) -> pa.Schema:
    """Return the schema of the vendor's file for questions with this number of samples."""
    options = [(f"option_{position}", pa.string()) for position in range(samples)]
    before, after = ["question_id", "query"], ["content_sha256", "instructions", "schema_version"]
    return pa.schema([(n, pa.string()) for n in before] + options + [(n, pa.string()) for n in after])


def content_sha256(instructions: str, query: str, options: Sequence[str]) -> str:
    """Return the hash of what a labeler sees, in the order as shown."""
    return sha256(canonical_json({"instructions": instructions, "query": query, "options": list(options)}))


def question_id(secret: bytes, index: int) -> str:
    """Return a random-looking id of consonants, which no program reads as a number, a date or a word."""
    digest = hmac.digest(secret, b"question %d" % index, hashlib.sha256)
    return "q" + "".join("bcdfghjkmnpqrstv"[byte % 16] for byte in digest[:16])


def shown_order(secret: bytes, question: str, samples: int) -> list[int]:
    """Return the order of the options of a question. Every order is equally likely."""
    ranks = [hmac.digest(secret, f"{question} sample {i}".encode(), hashlib.sha256) for i in range(samples)]
    return sorted(range(samples), key=ranks.__getitem__)


def key_row(index: int, question: Question, instructions: str, secret: bytes) -> dict[str, Any]:
    """Return the row of KEY_SCHEMA for question number `index` of its batch."""
    qid = question_id(secret, index)
    shown = shown_order(secret, qid, len(question.samples))
    digest = content_sha256(instructions, question.query, [question.samples[i].text for i in shown])
    row: dict[str, Any] = {"question_id": qid, "content_sha256": digest, "query_id": question.query_id}
    row |= {"query": question.query, "query_tokens": question.query_tokens, "shown": shown}
    row |= {name: getattr(question, name) for name in ("item", "role", "gold", *CHOSEN)}
    return row | {"samples": [sample.__dict__ for sample in question.samples]}


def to_vendor(key: pa.Table, instructions: str) -> pa.Table:
    """Return the vendor's table of the questions of a key (KEY_SCHEMA), in the same order."""
    count = len(key)
    texts = pc.struct_field(key["samples"].combine_chunks().flatten(), "text")
    shown = key["shown"].combine_chunks().flatten().to_numpy().reshape(count, -1).astype(np.int64)
    samples = shown.shape[1]
    if len(texts) != shown.size:
        raise ValueError("the questions of a batch have different numbers of samples")
    places = np.arange(count)[:, None] * samples + shown
    columns = {name: key[name] for name in ("question_id", "query", "content_sha256")}
    columns |= {f"option_{position}": texts.take(places[:, position]) for position in range(samples)}
    columns["instructions"] = pa.repeat(pa.scalar(instructions), count)
    columns["schema_version"] = pa.repeat(pa.scalar(SCHEMA_VERSION), count)
    schema = questions_schema(samples)
    return pa.table([columns[name] for name in schema.names], schema)


def blind(questions: Sequence[Question], instructions: str, secret: bytes) -> tuple[pa.Table, pa.Table]:
    """Return the vendor's table and the key, both in the order of the random question ids."""
    rows = [key_row(index, question, instructions, secret) for index, question in enumerate(questions)]
    key = pa.Table.from_pylist(sorted(rows, key=lambda row: row["question_id"]), schema=KEY_SCHEMA)
    return to_vendor(key, instructions), key


def write_table(table: pa.Table, path: Path) -> None:
    """Write a Parquet file with checksums of its pages, and with the schema as its only metadata."""
    pq.write_table(table.replace_schema_metadata(None), path, **PARQUET)


def write_parts(table: pa.Table, folder: Path) -> list[tuple[str, Path]]:
    """Write a vendor's table as files of bounded size; return their names and paths."""
    starts = range(0, len(table), ROWS_PER_FILE)
    return [write_part([table.slice(start, ROWS_PER_FILE)], n, folder) for n, start in enumerate(starts, 1)]


def write_part(tables: Iterable[pa.Table], number: int, folder: Path) -> tuple[str, Path]:
    """Write tables as one file of a vendor; return its name, `questions-<n>-<hash>.parquet`, and its path."""
    path = folder / f"part-{number}.parquet"
    rows = iter(tables)
    first = next(rows)
    with pq.ParquetWriter(path, first.schema.remove_metadata(), **PARQUET) as written:
        for part in chain([first], rows):
            written.write_table(part.replace_schema_metadata(None))
    return f"questions-{number:04d}-{sha256_of_file(path)[:12]}.parquet", path


BY_PEOPLE = (
    "question_id",
    "content_sha256",
    "query",
    "samples.list.element.text",
    "shown",
    "item",
    "role",
    "gold",
    "watched",
    "selection_reason",
)


def read_key(path: Path, tokens: bool = True) -> Iterator[dict[str, Any]]:
    """Yield the rows of a key file. If `tokens` is false, columns that only models read are left out.

    Old keys without roles have main questions only.
    """
    file = pq.ParquetFile(path)
    columns = None if tokens else list(BY_PEOPLE)
    for part in file.iter_batches(2_000, columns=columns):
        for row in part.to_pylist():
            yield {"item": row["question_id"], "role": "main", "gold": None, **dict.fromkeys(CHOSEN)} | row


def queries_asked(path: Path) -> set[str]:
    """Return the ids of the queries in a key file, except for gold and drift questions."""
    file = pq.ParquetFile(path)
    columns = [name for name in ("query_id", "role") if name in file.schema_arrow.names]
    parts = (part.to_pylist() for part in file.iter_batches(10_000, columns=columns))
    return {row["query_id"] for part in parts for row in part if row.get("role") not in TESTS}
