"""Where queries come from: embedded passages of novels or speeches, files of one's own, or a dataset of the HF hub.

One interface: every source gives `Query` rows. What a dataset needs before it is fit to ask about (bylines, datelines,
paragraphs) is cleaned in data/campaign/cleaning.py by the campaign's `cleaning`.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from data.campaign.cleaning import clean
from data.campaign.settings import OWN, TextFormat
from data.canonical import sha256, sha256_of_file
from data.errors import Refused
from data.escape import first_line, shown
from data.plain_file import read_plain

BASE = Path(__file__).resolve().parents[2] / "base"
EMBEDDED = {"embedded": BASE / "queries", "speeches": BASE / "speeches"}
Split = Literal["train", "test"]
MOST_BYTES_OF_LINE, MOST_BYTES_OF_TEXT = 16 << 20, 1 << 30
KINDS = ("parquet", "jsonl", "txt")
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Query(NamedTuple):
    query_id: str
    text: str
    response: str | None = None  # a reference, where the source has one


def load_queries(fmt: TextFormat, split: Split) -> list[Query]:
    """Return all queries of a split (`read_queries`)."""
    return list(read_queries(fmt, split))


def read_queries(fmt: TextFormat, split: Split) -> Iterator[Query]:
    """Read the queries of a split from the source that a campaign names, cleaned by its fmt.

    `embedded` (novels) or `speeches`; a folder with train and test files (.parquet, .jsonl or .txt); or
    `hub:NAME[:CONFIG]` for a dataset by name, which needs a connection and the package `datasets`. Columns: text, and
    where there are any query_id and response; a text file holds one query a paragraph. A text of the test split is no
    query of the train split too, so no text that measures was trained on.
    """
    overlap = split == "train" and _splits_may_overlap(fmt)
    measures = {_digest(query.text) for query in _cleaned(fmt, "test")} if overlap else set()
    found, ids = False, set[bytes]()  # digests, because a source may have millions of texts
    for query in _cleaned(fmt, split):
        found = True
        if measures and _digest(query.text) in measures:
            continue
        if (known := _digest(query.query_id)) in ids:
            raise Refused(
                f"Queries in {fmt.queries} repeat a query_id, or where they have none, a text: give each a query_id of "
                "its own, or leave the second one out."
            )
        ids.add(known)
        yield query
    if not ids:
        alone = " that is not in its test split too" if found else ""
        raise Refused(f"There is no query in the {split} split of {fmt.queries}{alone}.")


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def edition(fmt: TextFormat, split: Split = "test") -> list[str]:
    """Return the hashes of the files that decide a split of a campaign's own queries; nothing of other sources.

    The train split is what its file has and the test file has not.
    """
    if fmt.source != OWN:
        return []
    decide = [_file(fmt.queries, split)] + (_files(fmt.queries, "test") if split == "train" else [])
    return [sha256_of_file(path) for path in decide]


def _cleaned(fmt: TextFormat, split: Split) -> Iterator[Query]:
    source = fmt.queries
    rows = _from_hub(source[4:], split, fmt) if source.startswith("hub:") else _from_files(source, split)
    for query in rows:
        cleaned = clean(fmt.cleaning, query.text)
        if cleaned.strip():
            yield query._replace(text=cleaned)


def _splits_may_overlap(fmt: TextFormat) -> bool:
    """Whether a source may hold a text in both splits: the embedded ones do not, nor does one without a test split."""
    return fmt.source not in EMBEDDED and (fmt.source != OWN or bool(_files(fmt.queries, "test")))


def _files(source: str, split: Split) -> list[Path]:
    folder = EMBEDDED.get(source, Path(source).expanduser())
    return [path for kind in KINDS if (path := folder / f"{split}.{kind}").is_file()]


def _file(source: str, split: Split) -> Path:
    found = _files(source, split)
    if not found:
        raise Refused(f"There are no queries at {source}/{split}: put a .parquet, .jsonl or .txt file there.")
    return found[0]


def _from_files(source: str, split: Split) -> Iterator[Query]:
    path = _file(source, split)
    read = {".parquet": _parquet, ".jsonl": _jsonl, ".txt": _paragraphs}[path.suffix]
    try:
        for number, row in enumerate(read(path), 1):
            yield _query(row, path, number)
    except (OSError, ValueError, pa.ArrowException, RecursionError) as error:
        raise Refused(f"Queries cannot be read from {path}: {first_line(error)}.") from error


def _parquet(path: Path) -> Iterator[object]:
    for part in pq.ParquetFile(path).iter_batches(4096):
        yield from part.to_pylist()


def _jsonl(path: Path) -> Iterator[object]:
    with path.open("rb") as file:
        while line := file.readline(MOST_BYTES_OF_LINE + 1):
            if len(line) > MOST_BYTES_OF_LINE:
                raise Refused(f"Queries cannot be read from {path}: a line has more than {MOST_BYTES_OF_LINE:,} bytes.")
            if line.strip():
                yield json.loads(line.decode())


def _paragraphs(path: Path) -> Iterator[object]:
    text = read_plain(path, MOST_BYTES_OF_TEXT).decode().replace("\r\n", "\n").replace("\r", "\n")
    distinct = dict.fromkeys(part.strip() for part in text.split("\n\n"))
    yield from ({"text": " ".join(text.split())} for text in distinct if text)


def _query(row: object, source: Path | str, number: int) -> Query:
    """Take a row of any source; a query without an id of its own is known by its text, a blank reference is none."""
    columns: dict[str, Any] = row if isinstance(row, dict) else {}
    text, response, known = (columns.get(name) for name in ("text", "response", "query_id"))
    known = str(known) if isinstance(known, int) else known
    for name, value in (("text", text), ("response", response), ("query_id", known)):
        wrong = ""
        if not isinstance(value, str) and (value is not None or name == "text"):
            wrong = f"is {shown(value, 40)}, and must be text"
        elif LONE_SURROGATE.search(value or ""):
            wrong = "holds half a character (a lone surrogate)"
        if wrong:
            raise Refused(f"Queries cannot be read from {source}: {name} of row {number} {wrong}.")
    own = known or "q" + sha256(str(text).encode())[:16]
    return Query(own, str(text), response if response and response.strip() else None)


def _from_hub(name: str, split: Split, fmt: TextFormat) -> Iterator[Query]:
    """Read a dataset of the hub; one without a test split lends every fiftieth of its texts, chosen by content."""
    try:
        from datasets import get_dataset_split_names, load_dataset
    except ImportError as error:
        raise Refused(f"Queries of {name} come from the hub: pip install datasets, and be connected.") from error
    dataset, _, config = name.partition(":")
    text, response = fmt.columns or ("text", None)
    try:
        whole = "test" in get_dataset_split_names(dataset, config or None)
        rows = load_dataset(dataset, config or None, split=split if whole else "train")
    except Exception as error:  # the hub's own errors are of many kinds, none of them ours
        raise Refused(f"The dataset {name} cannot be loaded from the hub: {str(error).splitlines()[0]}") from error
    if missing := {text, response} - {None} - set(rows.column_names):
        offered = ", ".join(rows.column_names)
        raise Refused(f"The dataset {name} has no column {missing.pop()}; it has: {offered}.")
    seen = set()
    for number, row in enumerate(rows, 1):
        found = {"text": row[text], "response": row[response] if response else None}
        query = _query(found, name, number)
        of_test = int(query.query_id[1:9], 16) % 50 == 0
        if query.query_id not in seen and (whole or of_test == (split == "test")):
            seen.add(query.query_id)
            yield query


def is_held_out(query_id: str, share: float) -> bool:
    """Decide by the query's id alone, so that a query stays on its side in every round."""
    return int(sha256(query_id.encode())[:8], 16) < share * 2**32
