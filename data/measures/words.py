"""Words and sentences of a text; its length, and how much it repeats itself."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TypeVar

WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
DOT_ABOVE = "\u0307"  # what is left of a Turkish capital I with a dot in lower case, and no letter
SENTENCE_END = re.compile(r"[.!?][\"'”’)\]]*(?=\s)|\n")
ABBREVIATIONS = re.compile(
    "mrs?|ms|messrs|dr|prof|sen|gov|rep|rev|hon|gen|lt|col|capt|maj|sgt|st|mt|jr|sr|vs|jan|feb|aug|sept|oct|nov|dec",
    re.IGNORECASE,
)
LETTERS = re.compile(r"[A-HJ-Z]|[A-Za-z](?:\.[A-Za-z])+")  # an initial, or U.S; "I" ends sentences
T = TypeVar("T")


def words(text: str) -> list[str]:
    """Return a text's words in lower case, without punctuation."""
    return list(_words(text))


@lru_cache(20_000)  # every measure asks for those of every text, and sources recur for every system
def _words(text: str) -> tuple[str, ...]:
    lower = unicodedata.normalize("NFC", text).lower().replace(f"i{DOT_ABOVE}", "i").replace("’", "'")
    return tuple(WORD.findall(lower))


def sentences(text: str) -> list[list[str]]:
    """Return a text's sentences as words; those without a word are left out."""
    return [words(part) for part in _parts(text)]


def lead(text: str, count: int) -> str:
    """Return a text's first sentences as they stand: "lead-3" is what news articles are hard to beat with."""
    return "".join(list(_parts(text))[:count]).strip()


def _parts(text: str) -> Iterator[str]:
    """Yield a text in parts that each hold the words of one sentence, closing quotes and all."""
    start = 0
    for end in SENTENCE_END.finditer(text):
        part = text[start : end.end()]
        if words(part) and (end.group() == "\n" or not _goes_on(text[start : end.start()], end.group())):
            yield part
            start = end.end()
    if words(text[start:]):
        yield text[start:]


def _goes_on(part: str, mark: str) -> bool:
    """Tell whether a full stop ends no sentence: of an abbreviation, an initial, or the number of a list's entry."""
    last = part.split()[-1].lstrip("\"'“‘([") if part.split() else ""
    number = last.isdigit() and len(part.split()) == 1 and len(last) < 3
    return mark == "." and (number or bool(ABBREVIATIONS.fullmatch(last) or LETTERS.fullmatch(last)))


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
