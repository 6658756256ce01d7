"""The label files of 2019, such as offline_5k.json: one JSON array of best-of-k labels, read and written.

Each label has token ids of GPT-2's vocabulary, padded with 50259, an id outside of it. It has no text, id, labeler or
time, so it answers no batch: `andon import` publishes a batch from such a file.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from data.errors import Refused
from data.exchange.format import Format
from data.exchange.labeled import LOST_BY_ALL, Labeled

QUERY_TOKENS, RESPONSE_TOKENS = 64, 24
PAD = 50259
VOCABULARY = 50257


def write(labeled: Labeled, path: Path) -> None:
    query = max([QUERY_TOKENS, *(len(row["query_tokens"]) for row, _ in labeled.rows)])
    response = max([RESPONSE_TOKENS, *(len(s["tokens"]) for row, _ in labeled.rows for s in row["samples"])])
    with path.open("w", encoding="utf-8") as file:
        for number, (row, best) in enumerate(labeled.rows):
            samples = {f"sample{n}": _padded(s["tokens"], response) for n, s in enumerate(row["samples"])}
            label = {"query": _padded(row["query_tokens"], query), **samples, "best": best}
            file.write(("[" if number == 0 else ",\n") + json.dumps(label))
        file.write("]" if labeled.rows else "[]")


def _padded(tokens: list[int], length: int) -> list[int]:
    return [*tokens, *[PAD] * (length - len(tokens))]


class PublishedLabel(NamedTuple):
    """A query, its samples, and the index of the one that was chosen."""

    query: list[int]
    samples: list[list[int]]
    best: int


def read_published_labels(path: Path) -> list[PublishedLabel]:
    """Read a label file; raise Refused naming the first row that is none."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise Refused(f"{path} is not a label file of 2019: {str(error).splitlines()[0]}.") from error
    if not isinstance(rows, list) or not rows:
        raise Refused(f"{path} is not a label file of 2019: it must be one JSON array of labels.")
    return list(_labels(rows, path))


def _labels(rows: list[object], path: Path) -> Iterator[PublishedLabel]:
    k: int | None = None
    for number, row in enumerate(rows):
        place = f"label {number} of {path.name}"
        if not isinstance(row, dict) or not {"query", "sample0", "sample1", "best"} <= row.keys():
            raise Refused(f"{place} has no query, sample0, sample1, ... and best.")
        names = [f"sample{i}" for i in range(len(row)) if f"sample{i}" in row]
        k = k or len(names)
        if len(names) != k:
            raise Refused(f"{place} has {len(names)} samples, those before it {k}.")
        best = row["best"]
        if not isinstance(best, int) or isinstance(best, bool) or not 0 <= best < k:
            raise Refused(f"{place}: best is {best!r}; it must be 0 to {k - 1}.")
        query, *samples = (_tokens(row[name], name, place) for name in ("query", *names))
        yield PublishedLabel(query, samples, best)


def _tokens(value: object, name: str, place: str) -> list[int]:
    """Return the ids without padding; at least one must be left."""
    if not isinstance(value, list) or not all(isinstance(token, int) for token in value):
        raise Refused(f"{place}: {name} is not a list of token ids.")
    kept = [token for token in value if token != PAD]
    if wrong := [token for token in kept if not 0 <= token < VOCABULARY]:
        raise Refused(
            f"{place}: {name} holds {wrong[0]}, which is neither one of GPT-2's tokens nor the padding {PAD}."
        )
    if not kept:
        raise Refused(f"{place}: {name} is empty.")
    return kept


FORMAT = Format(
    name="openai2019",
    help="the label files published in 2019: token ids of GPT-2, best of k",
    loses=LOST_BY_ALL | {"texts"},
    write_labels=write,
    recognise=lambda content: {"query", "sample0"} <= {*content.names},
    elsewhere="is a label file of the 2019 release: take it in with andon import.",
)
