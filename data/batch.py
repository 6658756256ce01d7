"""A batch: the questions that labelers see, and the key that stays with us.

The vendor's file holds exactly the columns of QUESTIONS and nothing from which the writer of a sample can be told:
ids and the order of rows and options come from a secret of the batch (never from texts or policies), and Parquet's
own metadata carries no more than the schema. The key maps options back to samples.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data.canonical import canonical_json, sha256

SCHEMA_VERSION = "1.0"
ROLES = ("main", "overlap", "repeat", "gold", "drift")
TESTS = ("gold", "drift")  # they test people and are never trained on
QUESTION_ID = re.compile(r"q[bcdfghjkmnpqrstv]{16}")
ROWS_PER_FILE = 20_000
CHOSEN = ("watched", "selection_reason", "selection_score")
SAMPLE = pa.struct([("text", pa.string()), ("tokens", pa.list_(pa.int32())), ("policy", pa.string())])
KEY = pa.schema(
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
        ("watched", pa.int8()),  # of a drift question: the sample whose rate is watched
        ("selection_reason", pa.string()),  # `random`, `disagreement`, or null where nobody chose
        ("selection_score", pa.float32()),  # nats by which the reward models disagreed
    ]
)


@dataclass(frozen=True)
class Sample:
    """One response: what a person reads, the exact tokens that were sampled, and the policy that wrote it."""

    text: str
    tokens: list[int]
    policy: str


@dataclass(frozen=True)
class Question:
    """A query and its k samples, before anything is blinded."""

    query_id: str
    query: str
    query_tokens: list[int]
    samples: tuple[Sample, ...]
    role: str = "main"  # or another of ROLES: copies for others or the same labeler, known ones, watched ones
    gold: int | None = None
    watched: int | None = None
    selection_reason: str | None = None
    selection_score: float | None = None

    @property
    def item(self) -> str:
        """What all copies of a question have in common."""
        return "i" + sha256(canonical_json([self.query, [sample.text for sample in self.samples]]))[:15]


def questions_schema(samples: int) -> pa.Schema:
    """Return the vendor contract for k samples."""
    options = [(f"option_{position}", pa.string()) for position in range(samples)]
    before, after = ["question_id", "query"], ["content_sha256", "instructions", "schema_version"]
    return pa.schema([(n, pa.string()) for n in before] + options + [(n, pa.string()) for n in after])


def content_sha256(instructions: str, query: str, options: Sequence[str]) -> str:
    """Hash what a labeler sees, in the order in which it is seen."""
    return sha256(canonical_json({"instructions": instructions, "query": query, "options": list(options)}))


def question_id(secret: bytes, index: int) -> str:
    """Return a random-looking id of consonants: nothing can read it as a number, a date or a word."""
    digest = hmac.digest(secret, b"question %d" % index, hashlib.sha256)
    return "q" + "".join("bcdfghjkmnpqrstv"[byte % 16] for byte in digest[:16])


def shown_order(secret: bytes, question: str, samples: int) -> list[int]:
    """Draw the order of the options of a question; every order is equally likely."""
    ranks = [hmac.digest(secret, f"{question} sample {i}".encode(), hashlib.sha256) for i in range(samples)]
    return sorted(range(samples), key=ranks.__getitem__)


def blind(questions: Sequence[Question], instructions: str, secret: bytes) -> tuple[pa.Table, pa.Table]:
    """Return the vendor's table and the key, both in the order of the random question ids."""
    shown_rows, key_rows = [], []
    for index, question in enumerate(questions):
        qid = question_id(secret, index)
        shown = shown_order(secret, qid, len(question.samples))
        options = [question.samples[i].text for i in shown]
        digest = content_sha256(instructions, question.query, options)
        row = {"question_id": qid, "query": question.query, "content_sha256": digest, "instructions": instructions}
        row |= {f"option_{position}": text for position, text in enumerate(options)}
        shown_rows.append(row | {"schema_version": SCHEMA_VERSION})
        key_row: dict[str, Any] = {"question_id": qid, "content_sha256": digest, "query_id": question.query_id}
        key_row |= {"query": question.query, "query_tokens": question.query_tokens, "shown": shown}
        key_row |= {name: getattr(question, name) for name in ("item", "role", "gold", *CHOSEN)}
        key_rows.append(key_row | {"samples": [sample.__dict__ for sample in question.samples]})
    shown_rows.sort(key=lambda row: row["question_id"])
    key_rows.sort(key=lambda row: row["question_id"])
    schema = questions_schema(len(questions[0].samples))
    return pa.Table.from_pylist(shown_rows, schema=schema), pa.Table.from_pylist(key_rows, schema=KEY)


def write_table(table: pa.Table, path: Path) -> None:
    """Write a Parquet file whose pages carry checksums and whose metadata carries nothing but the schema."""
    plain = table.replace_schema_metadata(None)
    pq.write_table(plain, path, compression="zstd", use_dictionary=False, write_page_checksum=True, store_schema=False)


def write_parts(table: pa.Table, folder: Path) -> list[tuple[str, Path]]:
    """Write a table as `questions-<n>-<hash>.parquet` files of bounded size; return their names and paths."""
    parts = []
    for number, start in enumerate(range(0, len(table), ROWS_PER_FILE), 1):
        path = folder / f"part-{number}.parquet"
        write_table(table.slice(start, ROWS_PER_FILE), path)
        parts.append((f"questions-{number:04d}-{sha256(path.read_bytes())[:12]}.parquet", path))
    return parts


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
    """Yield the rows of a key file, without what only models read where `tokens` is false.

    A key from before there were roles has main questions only.
    """
    file = pq.ParquetFile(path)
    columns = None if tokens else list(BY_PEOPLE)
    for part in file.iter_batches(2_000, columns=columns):
        for row in part.to_pylist():
            yield {"item": row["question_id"], "role": "main", "gold": None, **dict.fromkeys(CHOSEN)} | row
