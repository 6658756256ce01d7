"""The answers of the labeling page: each one durable before the page says so, delivered later like any vendor's.

The first answer to a question of a batch is `<question>.1`, its correction `<question>.2`, and so on. A name is created
once, so of two labelers, or two clicks, exactly one answers. What was collected into an answer file is written down
after the file was ingested; a crash between the two delivers an answer again, which adds nothing.

Readers pass over every name that this module does not write: a store keeps for ever what somebody else put there.
"""

import re
from collections.abc import Container, Iterable, Iterator
from itertools import count, takewhile
from pathlib import Path
from typing import NamedTuple, NotRequired

import pyarrow as pa
import pyarrow.parquet as pq
from typing_extensions import TypedDict

from data.answers import KINDS
from data.batches.index import Batch
from data.batches.schema import read_key, write_table
from data.canonical import Document, canonical_json, seal, sha256
from data.labels.table import active_labels, committed, deliveries
from data.paths import CAMPAIGNS, COMPARISONS, KEY_FILE, page_prefix
from data.shapes import unsealed
from data.store import Store
from data.store.base import read_all

ANSWERS = pa.schema(
    [(name, pa.string()) for name in ("question_id", "content_sha256", "labeler_id")]
    + [(kind.name, kind.row_type) for kind in KINDS]
    + [("skip", pa.bool_()), ("seconds", pa.float64()), ("confidence", pa.float64())]
    + [(name, pa.string()) for name in ("note", "critique", "correction", "answered_at", "supersedes")]
    + [("flags", pa.list_(pa.string()))]
)
BROKEN = "broken_question"  # the flag of a question that nobody can answer as it is
ANSWER_NAME = re.compile(r"(q[a-z0-9]{1,40})\.([1-9][0-9]{0,5})\.json")  # as `save` writes it
DELIVERED_NAME = re.compile(r"[0-9a-f]{64}\.json")  # as `mark_delivered` writes it
PAGE_KEY = re.compile(rf"{CAMPAIGNS}/[^/]+(/{COMPARISONS})?/page/[^/]+/(?P<name>.+)")


class PageQuestion(NamedTuple):
    """What a labeler sees of one question; options in the order of the batch, to which `best` refers."""

    question_id: str
    content_sha256: str
    query: str
    options: tuple[str, ...]
    instructions: str
    item: str  # the same for all copies of a question: nobody gets two of them


class NewAnswers(NamedTuple):
    """The answers since the last collection, a row for each question."""

    rows: list[Document]  # columns of ANSWERS
    names: list[list[str]]  # for each row, the saved answers that it includes

    def keep(self, labelers: Container[str]) -> "NewAnswers":
        """Return the rows of some labelers."""
        pairs = [pair for pair in zip(self.rows, self.names, strict=True) if pair[0]["labeler_id"] in labelers]
        return NewAnswers([row for row, _ in pairs], [names for _, names in pairs])


class StoredAnswer(TypedDict):
    """What every stored answer has, besides the columns of its kind (ANSWERS)."""

    question_id: str
    content_sha256: str
    labeler_id: str
    answered_at: str
    skip: NotRequired[bool]
    seconds: NotRequired[float]
    confidence: NotRequired[float]
    note: NotRequired[str]
    critique: NotRequired[str]
    correction: NotRequired[str]
    best: NotRequired[int]
    ranking: NotRequired[str]
    ratings: NotRequired[str]


class Delivered(TypedDict):
    """The names of the answers in a file that was ingested."""

    answers: list[str]


class Collected(NamedTuple):
    """An answer file, and the answers in it."""

    path: Path
    answers: list[str]


def questions(batch: Batch) -> dict[str, PageQuestion]:
    """Read the questions of a batch as its vendor's files have them."""
    items = {row["question_id"]: row["item"] for row in read_key(batch.path(KEY_FILE), tokens=False)}
    asked = {}
    for name in batch.names():
        if not name.startswith("questions-"):
            continue
        for row in pq.read_table(batch.path(name)).to_pylist():
            options = tuple(row[f"option_{i}"] for i in range(sum(key.startswith("option_") for key in row)))
            qid, digest = row["question_id"], row["content_sha256"]
            asked[qid] = PageQuestion(qid, digest, row["query"], options, row["instructions"], items[qid])
    return asked


def save(store: Store, campaign: str, batch: str, version: int, answer: Document) -> Document | None:
    """Keep an answer, durably; return None, or the other answer that was there first.

    The same answer of the same labeler again is None too: a double click, or a page that heard nothing and asks again.
    """
    key = f"{page_prefix(campaign, batch)}/answers/{answer['question_id']}.{version}.json"
    if store.put_new(key, seal(answer)):
        return None
    stored = _answer(store.read(key), f"{key} in {store.uri}")
    return None if _content(stored) == _content(answer) else stored


def saved(store: Store, campaign: str, batch: str) -> dict[str, list[Document]]:
    """Return all answers of the page to a batch, by question, corrections last."""
    prefix = f"{page_prefix(campaign, batch)}/answers"
    versions: dict[str, dict[int, str]] = {}
    for key in store.keys(prefix):
        if match := ANSWER_NAME.fullmatch(key.removeprefix(f"{prefix}/")):
            versions.setdefault(match[1], {})[int(match[2])] = key
    wanted = {question: [keys[n] for n in _unbroken(keys)] for question, keys in versions.items() if 1 in keys}
    all_keys = [key for keys in wanted.values() for key in keys]
    read = dict(zip(all_keys, read_all(store, all_keys), strict=True))
    return {
        question: [_answer(read[key], f"{key} in {store.uri}") for key in keys] for question, keys in wanted.items()
    }


def _answer(data: bytes, where: str) -> Document:
    return {**unsealed(data, StoredAnswer, where)}


def foreign_keys(keys: Iterable[str]) -> list[str]:
    """Return those of a store's keys that are in folders of the page and that no reader takes for an answer."""
    versions: dict[tuple[str, str], dict[int, str]] = {}
    foreign = []
    for key in keys:
        if (path := PAGE_KEY.fullmatch(key)) is None:
            continue
        folder, _, name = path["name"].partition("/")
        if folder == "answers" and (match := ANSWER_NAME.fullmatch(name)):
            versions.setdefault((key.removesuffix(name), match[1]), {})[int(match[2])] = key
        elif not (folder == "delivered" and DELIVERED_NAME.fullmatch(name)):
            foreign.append(key)
    for numbered in versions.values():
        foreign += [numbered[n] for n in numbered.keys() - set(_unbroken(numbered))]
    return sorted(foreign)


def _unbroken(versions: Container[int]) -> Iterator[int]:
    """Count from 1 to the last version before a gap: `save` leaves none."""
    return takewhile(lambda n: n in versions, count(1))


def new_answers(store: Store, campaign: str, batch: str) -> NewAnswers:
    """Read what was answered since the last collection, in the last version of each answer.

    A correction of an answer that was ingested names the label that it supersedes. A labeler who takes an ingested
    answer back without another one (skip) cannot: that label stands.
    """
    before = _delivered(store, campaign, batch)
    standing = {
        (label.question_id, label.labeler_id): label.label_id
        for label in active_labels(committed(store, deliveries(store, campaign), batch))
    }
    rows, names = [], []
    for question, versions in sorted(saved(store, campaign, batch).items()):
        new = [f"{question}.{n}" for n in range(1, len(versions) + 1) if f"{question}.{n}" not in before]
        if not new:
            continue
        row: Document = {name: versions[-1].get(name) for name in ANSWERS.names}
        if len(versions) > 1 and not row["skip"]:
            row["supersedes"] = standing.get((question, str(row["labeler_id"])))
        rows.append(row)
        names.append(new)
    return NewAnswers(rows, names)


def write_answers(answers: NewAnswers, batch: str, folder: Path) -> Collected:
    """Write answers as a vendor's answer file."""
    names = [name for each in answers.names for name in each]
    path = folder / f"page-{batch}-{sha256(canonical_json(names))[:12]}.parquet"
    write_table(pa.Table.from_pylist(answers.rows, schema=ANSWERS), path)
    return Collected(path, names)


def collect(store: Store, campaign: str, batch: str, folder: Path) -> Collected | None:
    """Write all new answers as a vendor's answer file; None if there are none."""
    answers = new_answers(store, campaign, batch)
    return write_answers(answers, batch, folder) if answers.rows else None


def mark_delivered(store: Store, campaign: str, batch: str, answers: Iterable[str]) -> None:
    """Write down which answers an ingested file held."""
    document = seal({"answers": sorted(answers)})
    store.put_new(f"{page_prefix(campaign, batch)}/delivered/{sha256(document)}.json", document)


def _delivered(store: Store, campaign: str, batch: str) -> set[str]:
    keys = store.keys(f"{page_prefix(campaign, batch)}/delivered")
    ours = [key for key in keys if DELIVERED_NAME.fullmatch(key.rsplit("/delivered/", 1)[1])]
    return {name for key in ours for name in unsealed(store.read(key), Delivered, f"{key} in {store.uri}")["answers"]}


def _content(answer: Document) -> Document:
    return {name: value for name, value in answer.items() if name not in ("answered_at", "seconds")}
