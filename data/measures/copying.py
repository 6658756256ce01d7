"""What of a response comes from its source: novelty, copied beginnings, and the places that were copied."""

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
    """Return the share of a response's sentences that do not stand in its source, word for word; None without any."""
    own = sentences(response)
    theirs = " ".join(["", *words(source), ""])
    return sum(" ".join(["", *each, ""]) not in theirs for each in own) / len(own) if own else None


def ngram_novelty(source: str, response: str, n: int) -> float | None:
    """Return the share of a response's n-grams of words that do not occur in its source; None without any."""
    own, theirs = ngrams(words(response), n), _ngrams_of(source, n)
    return sum(gram not in theirs for gram in own) / len(own) if own else None


@lru_cache(10_000)
def _ngrams_of(source: str, n: int) -> frozenset[tuple[str, ...]]:
    return frozenset(ngrams(words(source), n))


def starts_by_copying(source: str, response: str) -> bool:
    """Say whether a response begins with the first three words of its source."""
    own = words(response)[:COPIED_WORDS]
    return len(own) == COPIED_WORDS and own == words(source)[:COPIED_WORDS]


def address_of(speech: str) -> str:
    """Return the form of address that a speech opens with, up to its colon; empty where there is none."""
    found = ADDRESS.match(speech)
    return found.group() if found else ""


def has_preamble(source: str, kind: Literal["tldr", "cnndm", "speeches"]) -> bool:
    """Say whether a post opens with a greeting, an article has a colon in its first three words, or a speech opens with
    a form of address.

    The definitions for posts and articles are those of Ziegler et al. (2019).
    """
    if kind == "speeches":
        return bool(address_of(source))
    if kind == "cnndm":
        return any(":" in word for word in source.split()[:3])
    return words(source)[:1] != [] and words(source)[0] in GREETINGS


def copied_bigrams(source: str, response: str) -> list[int]:
    """Return where in the source, in bigrams from 0, the longest common subsequence of bigrams of the two lies.

    Its length over the number of the response's bigrams is the share copied (Stiennon et al., 2020); its places, over
    many sources, are the figure of where a summary copies from (Ziegler et al., 2019). Of several such subsequences it
    is the one that lies earliest.
    """
    theirs, own = ngrams(words(source), 2)[::-1], ngrams(words(response), 2)[::-1]  # from the end, for the earliest
    rows, places = [(1 << len(own)) - 1, *growth(theirs, own)], []
    columns, missing = len(own), len(own) - rows[-1].bit_count()
    at: dict[object, list[int]] = {}
    for j, bigram in enumerate(own, 1):
        at.setdefault(bigram, []).append(j)
    for i in range(len(theirs), 0, -1):
        j = next((j for j in reversed(at.get(theirs[i - 1], ())) if j <= columns), 0)
        before = (1 << (j - 1)) - 1 if j else 0
        if missing and j and j - 1 - (rows[i - 1] & before).bit_count() == missing - 1:  # the rest is still reached
            places.append(len(theirs) - i)
            columns, missing = j - 1, missing - 1
    return places


def copied_share(source: str, response: str) -> float | None:
    """Return the longest common subsequence of bigrams over the response's bigrams, 0 to 1; None without any."""
    own = ngrams(words(response), 2)
    return len(copied_bigrams(source, response)) / len(own) if own else None


def growth(rows: Sequence[object], columns: Sequence[object]) -> list[int]:
    """Return for every row how the length of the longest common subsequence grows over the columns, as bits.

    Bit j of row i is 0 where rows[: i + 1] have one more in common with columns[: j + 1] than with columns[:j], so a
    whole row is a few operations on integers (Hyyro, 2004).
    """
    places: dict[object, int] = {}
    for j, column in enumerate(columns):
        places[column] = places.get(column, 0) | 1 << j
    every = (1 << len(columns)) - 1
    state, found = every, []
    for row in rows:
        equal = state & places.get(row, 0)
        state = ((state + equal) | (state - equal)) & every
        found.append(state)
    return found
