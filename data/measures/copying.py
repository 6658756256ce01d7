"""Copying from the source: novelty of sentences and n-grams, copied beginnings, and the places that were copied."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from data.measures.words import ngrams, sentences, words

GREETINGS = frozenset(("hi", "hello", "hey", "ok", "okay", "so"))
# "Mr. Speaker, Members of Congress, and fellow Americans:", at most one sentence of thanks before it.
ADDRESS = re.compile(
    r"(?:[^.:;!?]{,80}[.!] )?(?:fellow[- ]citizens|gentlemen|members of|(?:to )?the (?:senate|congress)"
    r"|(?:mr|madam)\.? (?:speaker|president|vice president))\b(?:[^.:;!?]|\b(?:mr|dr)\.){,250}:",
    re.IGNORECASE,
)
COPIED_WORDS = 3


def sentence_novelty(source: str, response: str) -> float | None:
    """Return the share of a response's sentences that are not in its source word for word; None without sentences."""
    own = sentences(response)
    text = " ".join(["", *words(source), ""])
    return sum(" ".join(["", *sentence, ""]) not in text for sentence in own) / len(own) if own else None


def ngram_novelty(source: str, response: str, n: int) -> float | None:
    """Return the share of a response's n-grams of words that are not in its source; None without n-grams."""
    own, theirs = ngrams(words(response), n), _ngrams_of(source, n)
    return sum(gram not in theirs for gram in own) / len(own) if own else None


@lru_cache(10_000)
def _ngrams_of(source: str, n: int) -> frozenset[tuple[str, ...]]:
    return frozenset(ngrams(words(source), n))


def starts_by_copying(source: str, response: str) -> bool:
    """Return whether a response begins with the first three words of its source."""
    own = words(response)[:COPIED_WORDS]
    return len(own) == COPIED_WORDS and own == words(source)[:COPIED_WORDS]


def address_of(speech: str) -> str:
    """Return the form of address at the start of a speech, up to its colon; empty if there is none."""
    match = ADDRESS.match(speech)
    return match.group() if match else ""


def has_preamble(source: str, kind: Literal["tldr", "cnndm", "speeches"]) -> bool:
    """Return whether a source has a preamble.

    A preamble is a greeting at the start of a post, a colon in the first three words of an article, or a form of
    address at the start of a speech. The definitions for posts and articles are those of Ziegler et al. (2019).
    """
    if kind == "speeches":
        return bool(address_of(source))
    if kind == "cnndm":
        return any(":" in word for word in source.split()[:3])
    return words(source)[:1] != [] and words(source)[0] in GREETINGS


def copied_bigrams(source: str, response: str) -> list[int]:
    """Return the places in the source, in bigrams from 0, of the longest common subsequence of bigrams.

    Its length divided by the number of the response's bigrams is the copied share (Stiennon et al., 2020). Its places
    over many sources show where summaries copy from (Ziegler et al., 2019). The earliest subsequence is returned if
    several have the same length.
    """
    theirs, own = ngrams(words(source), 2)[::-1], ngrams(words(response), 2)[::-1]  # reversed, to find the earliest
    rows, places = [(1 << len(own)) - 1, *growth(theirs, own)], []
    columns, missing = len(own), len(own) - rows[-1].bit_count()
    at: dict[object, list[int]] = {}
    for j, bigram in enumerate(own, 1):
        at.setdefault(bigram, []).append(j)
    for i in range(len(theirs), 0, -1):
        j = next((j for j in reversed(at.get(theirs[i - 1], ())) if j <= columns), 0)
        before = (1 << (j - 1)) - 1 if j else 0
        if missing and j and j - 1 - (rows[i - 1] & before).bit_count() == missing - 1:  # the rest remains reachable
            places.append(len(theirs) - i)
            columns, missing = j - 1, missing - 1
    return places


def copied_share(source: str, response: str) -> float | None:
    """Return the length of the longest common subsequence of bigrams as a share of the response's bigrams, 0 to 1.

    None for a response without bigrams.
    """
    own = ngrams(words(response), 2)
    return len(copied_bigrams(source, response)) / len(own) if own else None


def growth(rows: Sequence[object], columns: Sequence[object]) -> list[int]:
    """Return the growth of the longest common subsequence over the columns, as bits, for every row.

    Bit j of row i is 0 if the longest common subsequence of rows[: i + 1] and columns[: j + 1] is longer by one than
    that of rows[: i + 1] and columns[:j]. A whole row takes a few operations on integers (Hyyro, 2004).
    """
    places: dict[object, int] = {}
    for j, column in enumerate(columns):
        places[column] = places.get(column, 0) | 1 << j
    every = (1 << len(columns)) - 1
    state, states = every, []
    for row in rows:
        equal = state & places.get(row, 0)
        state = ((state + equal) | (state - equal)) & every
        states.append(state)
    return states
