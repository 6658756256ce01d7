"""The format of the label files of 2019: one JSON array, token ids padded with 50259; data/openai2019.py reads it.

Only for a base with GPT-2's tokens. It has tokens and no texts.
"""

import json
from pathlib import Path

from data.exchange.labeled import LOST_BY_ALL, Labeled
from data.openai2019 import PAD

LOSES = LOST_BY_ALL | {"texts"}
QUERY_TOKENS, RESPONSE_TOKENS = 64, 24


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
