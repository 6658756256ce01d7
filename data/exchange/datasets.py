"""Labels as the files that trainers read: pairs of TRL, pairs of hh-rlhf, four samples of the 2019 release.

All of them lose who answered, when, with which weight and in which order options were shown; pairs also lose that one
answer was given among k, and a label of k options becomes k - 1 pairs.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from data.exchange.questions import write_lines
from data.openai2019 import PAD

QUERY_TOKENS, RESPONSE_TOKENS = 64, 24


class Labeled(NamedTuple):
    """The labels of a set, each with the row of its question's key."""

    rows: list[tuple[dict[str, Any], int]]  # key row, best sample

    def pairs(self) -> Iterator[tuple[str, str, str]]:
        """Yield query, chosen and rejected text, k - 1 pairs a label."""
        for row, best in self.rows:
            texts = [sample["text"] for sample in row["samples"]]
            yield from ((row["query"], texts[best], text) for n, text in enumerate(texts) if n != best)


def write_trl(labeled: Labeled, path: Path) -> None:
    """TRL's explicit preference format; the space between prompt and completion stays with the completion."""
    pairs = ({"prompt": q, "chosen": " " + chosen, "rejected": " " + other} for q, chosen, other in labeled.pairs())
    write_lines(path, (json.dumps(pair, ensure_ascii=False) for pair in pairs))


def write_trl_implicit(labeled: Labeled, path: Path) -> None:
    """TRL's preference format with an implicit prompt: whole texts."""
    pairs = ({"chosen": f"{q} {chosen}", "rejected": f"{q} {other}"} for q, chosen, other in labeled.pairs())
    write_lines(path, (json.dumps(pair, ensure_ascii=False) for pair in pairs))


def write_hh(labeled: Labeled, path: Path) -> None:
    """hh-rlhf: whole transcripts, of which ours have one turn."""
    turn = "\n\nHuman: {}\n\nAssistant: {}"
    pairs = ({"chosen": turn.format(q, a), "rejected": turn.format(q, b)} for q, a, b in labeled.pairs())
    write_lines(path, (json.dumps(pair, ensure_ascii=False) for pair in pairs))


def write_openai2019(labeled: Labeled, path: Path) -> None:
    """The released label files: one array, token ids padded with 50259; only for a base with GPT-2's tokens."""
    query = max([QUERY_TOKENS, *(len(row["query_tokens"]) for row, _ in labeled.rows)])
    response = max([RESPONSE_TOKENS, *(len(s["tokens"]) for row, _ in labeled.rows for s in row["samples"])])
    found = []
    for row, best in labeled.rows:
        padded = {f"sample{n}": _padded(s["tokens"], response) for n, s in enumerate(row["samples"])}
        found.append({"query": _padded(row["query_tokens"], query), **padded, "best": best})
    path.write_text(json.dumps(found), encoding="utf-8")


def _padded(tokens: list[int], length: int) -> list[int]:
    return [*tokens, *[PAD] * (length - len(tokens))]
