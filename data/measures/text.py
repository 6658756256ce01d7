"""Words and sentences of a text; its length, and how much it repeats itself."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TypeVar

WORD = re.compile(r"\w+(?:['’]\w+)*")
SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)]*\s+|\n+")
T = TypeVar("T")


def words(text: str) -> list[str]:
    """Return a text's words in lower case, without punctuation."""
    return list(_words(text))


@lru_cache(20_000)  # every measure asks for those of every text, and sources recur for every system
def _words(text: str) -> tuple[str, ...]:
    return tuple(WORD.findall(text.lower()))


def sentences(text: str) -> list[list[str]]:
    """Return a text's sentences as words; those without a word are left out."""
    return [found for part in SENTENCE_END.split(text) if (found := words(part))]


def lead(text: str, count: int) -> str:
    """Return a text's first sentences as they stand: "lead-3" is what news articles are hard to beat with."""
    ends = [found.start() for found in SENTENCE_END.finditer(text) if words(text[: found.start()])]
    return text[: ends[count - 1]].strip() if len(ends) >= count else text.strip()


def ngrams(sequence: Sequence[T], n: int) -> list[tuple[T, ...]]:
    """Return every n consecutive elements, in order."""
    return [tuple(sequence[start : start + n]) for start in range(len(sequence) - n + 1)]


def distinct_n(texts: Iterable[Sequence[T]], n: int) -> float:
    """Return the share of all n-grams of some texts that differ, 0 to 1 (Li et al., 2016); 1 where there are none.

    Low where all texts say the same.
    """
    found = [gram for text in texts for gram in ngrams(text, n)]
    return len(set(found)) / len(found) if found else 1.0


def repetition(text: Sequence[T], n: int = 3) -> float:
    """Return the share of a text's n-grams that occurred in it before, 0 to 1: high where one text goes in circles."""
    return 1.0 - distinct_n([text], n)
