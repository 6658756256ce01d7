"""A response with marks for its reader: words that another response lacks, and words copied from the source."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import groupby, pairwise
from typing import NamedTuple

from data.measures.words import ngrams, words

PIECE = re.compile(r"\S+\s*|\s+")


class Part(NamedTuple):
    """Consecutive words with the same marks."""

    text: str
    differs: bool
    copied: bool


class Sample(NamedTuple):
    """One query with the marked responses of several systems."""

    query: str
    answers: list[tuple[str, list[Part]]]  # system and response


def marked(text: str, other: str | None = None, source: str | None = None) -> list[Part]:
    """Split a text into parts, with marks for words that `other` lacks in this order, and for word pairs of `source`.

    The joined parts are the text. Without `other` no word differs, without `source` none is copied.
    """
    pieces = PIECE.findall(text)
    own = [_key(piece) for piece in pieces]
    differs = [False] * len(own) if other is None else _differing(own, [_key(p) for p in PIECE.findall(other)])
    copied = [False] * len(own) if source is None else _copied(own, set(ngrams(words(source), 2)))
    flagged = zip(pieces, differs, copied, strict=True)
    groups = groupby(flagged, key=lambda each: each[1:])
    return [Part("".join(piece for piece, *_ in group), *flags) for flags, group in groups]


def _key(piece: str) -> tuple[str, ...]:
    return tuple(words(piece)) or (piece.strip(),)


def _differing(own: Sequence[tuple[str, ...]], other: Sequence[tuple[str, ...]]) -> list[bool]:
    differs = [True] * len(own)
    for block in SequenceMatcher(None, own, other, autojunk=False).get_matching_blocks():
        differs[block.a : block.a + block.size] = [False] * block.size
    return differs


def _copied(own: Sequence[tuple[str, ...]], pairs: set[tuple[str, ...]]) -> list[bool]:
    placed = [(word, place) for place, key in enumerate(own) for word in key]
    copied = [False] * len(own)
    for (word, place), (following, next_place) in pairwise(placed):
        if (word, following) in pairs:
            copied[place] = copied[next_place] = True
    return copied
