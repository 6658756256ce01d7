"""Where queries come from: embedded passages of novels or speeches, files of one's own, or a dataset of the HF hub.

One interface: every source gives `Query` rows. What a dataset needs before it is fit to ask about (bylines, datelines,
paragraphs) is cleaned in data/cleaning.py by the campaign's `cleaning`.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from data.canonical import sha256, sha256_of_file
from data.cleaning import clean
from data.refused import Refused
from data.settings import Text

BASE = Path(__file__).resolve().parent.parent / "base"
EMBEDDED = {"embedded": BASE / "queries", "speeches": BASE / "speeches"}
Split = Literal["train", "test"]
KINDS = ("parquet", "jsonl", "txt")


class Query(NamedTuple):
    query_id: str
    text: str
    response: str | None = None  # a reference, where the source has one


def load_queries(rules: Text, split: Split) -> list[Query]:
    """Read the queries of a split from the source that a campaign names, cleaned by its rules.

    `embedded` (novels) or `speeches`; a folder with train and test files (.parquet, .jsonl or .txt); or
    `hub:NAME[:CONFIG]` for a dataset by name, which needs a connection and the package `datasets`. Columns: text, and
    where there are any query_id and response; a text file holds one query a paragraph.
    """
    source = rules.queries
    rows = _from_hub(source[4:], split, rules) if source.startswith("hub:") else _from_files(source, split)
    queries = []
    for query in rows:
        cleaned = clean(rules.cleaning, query.text)
        if cleaned:
            queries.append(query._replace(text=cleaned))
    if not queries:
        raise Refused(f"There is no query in the {split} split of {source}.")
    if len({query.query_id for query in queries}) < len(queries):
        raise Refused(f"Queries in {source} repeat a query_id: every query needs one of its own.")
    return queries


def edition(rules: Text) -> list[str]:
    """Return the hash of the test file that a campaign's own queries come from; nothing of other sources."""
    own = rules.queries not in EMBEDDED and not rules.queries.startswith("hub:")
    return [sha256_of_file(_file(rules.queries, "test"))] if own else []


def _file(source: str, split: Split) -> Path:
    folder = EMBEDDED.get(source, Path(source).expanduser())
    found = [path for kind in KINDS if (path := folder / f"{split}.{kind}").is_file()]
    if not found:
        raise Refused(f"There are no queries at {folder}/{split}: put a .parquet, .jsonl or .txt file there.")
    return found[0]


def _from_files(source: str, split: Split) -> Iterator[Query]:
    path = _file(source, split)
    read = {".parquet": _parquet, ".jsonl": _jsonl, ".txt": _paragraphs}[path.suffix]
    try:
        yield from read(path)
    except (OSError, pa.ArrowInvalid, pa.ArrowKeyError, KeyError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise Refused(f"Queries cannot be read from {path}: {str(error).splitlines()[0]}.") from error


def _parquet(path: Path) -> Iterator[Query]:
    for part in pq.ParquetFile(path).iter_batches(4096):
        yield from map(_query, part.to_pylist())


def _jsonl(path: Path) -> Iterator[Query]:
    with path.open(encoding="utf-8") as lines:
        yield from (_query(json.loads(line)) for line in lines if line.strip())


def _paragraphs(path: Path) -> Iterator[Query]:
    distinct = dict.fromkeys(part.strip() for part in path.read_text(encoding="utf-8").split("\n\n"))
    yield from (_query({"text": " ".join(text.split())}) for text in distinct if text)


def _query(row: dict[str, str]) -> Query:
    """Take a row of any source; a query without an id of its own is known by its text."""
    return Query(row.get("query_id") or "q" + sha256(row["text"].encode())[:16], row["text"], row.get("response"))


def _from_hub(name: str, split: Split, rules: Text) -> Iterator[Query]:
    """Read a dataset of the hub; one without a test split lends every fiftieth of its texts, chosen by content."""
    try:
        from datasets import get_dataset_split_names, load_dataset
    except ImportError as error:
        raise Refused(f"Queries of {name} come from the hub: pip install datasets, and be connected.") from error
    dataset, _, config = name.partition(":")
    text, response = rules.columns or ("text", None)
    try:
        whole = "test" in get_dataset_split_names(dataset, config or None)
        rows = load_dataset(dataset, config or None, split=split if whole else "train")
    except Exception as error:  # the hub's own errors are of many kinds, none of them ours
        raise Refused(f"The dataset {name} cannot be loaded from the hub: {str(error).splitlines()[0]}") from error
    if missing := {text, response} - {None} - set(rows.column_names):
        offered = ", ".join(rows.column_names)
        raise Refused(f"The dataset {name} has no column {missing.pop()}; it has: {offered}.")
    seen = set()
    for row in rows:
        query = _query({"text": row[text], **({"response": row[response]} if response else {})})
        of_test = int(query.query_id[1:9], 16) % 50 == 0
        if query.query_id not in seen and (whole or of_test == (split == "test")):
            seen.add(query.query_id)
            yield query
