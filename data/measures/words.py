"""Words, sentences and n-grams of a text, and its repetition."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TypeVar

WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
DOT_ABOVE = "\u0307"  # the mark that lower() leaves after the i of a Turkish capital I with a dot
SENTENCE_END = re.compile(r"[.!?][\"'”’)\]]*(?=\s)|\n")
ABBREVIATIONS = re.compile(
    "mrs?|ms|messrs|dr|prof|sen|gov|rep|rev|hon|gen|lt|col|capt|maj|sgt|st|mt|jr|sr|vs|jan|feb|aug|sept|oct|nov|dec",
    re.IGNORECASE,
)
LETTERS = re.compile(r"[A-HJ-Z]|[A-Za-z](?:\.[A-Za-z])+")  # an initial, or U.S; "I" can end a sentence
T = TypeVar("T")


def words(text: str) -> list[str]:
    """Return a text's words in lower case, without punctuation."""
    return list(_words(text))


@lru_cache(20_000)  # every measure needs the words of every text, and sources recur for every system
def _words(text: str) -> tuple[str, ...]:
    lower = unicodedata.normalize("NFC", text).lower().replace(f"i{DOT_ABOVE}", "i").replace("’", "'")
    return tuple(WORD.findall(lower))


def sentences(text: str) -> list[list[str]]:
    """Return a text's sentences as lists of words; sentences without a word are left out."""
    return [words(part) for part in _parts(text)]


def lead(text: str, count: int) -> str:
    """Return a text's first sentences unchanged. Three of them ("lead-3") are a strong summary of a news article."""
    return "".join(list(_parts(text))[:count]).strip()


def _parts(text: str) -> Iterator[str]:
    """Yield the parts of a text, each with the words of one sentence and its closing quotes."""
    start = 0
    for end in SENTENCE_END.finditer(text):
        part = text[start : end.end()]
        if words(part) and (end.group() == "\n" or not _continues(text[start : end.start()], end.group())):
            yield part
            start = end.end()
    if words(text[start:]):
        yield text[start:]


def _continues(part: str, mark: str) -> bool:
    """Return whether a full stop ends no sentence: after an abbreviation, an initial or the number of a list entry."""
    last = part.split()[-1].lstrip("\"'“‘([") if part.split() else ""
    number = last.isdigit() and len(part.split()) == 1 and len(last) < 3
    return mark == "." and (number or bool(ABBREVIATIONS.fullmatch(last) or LETTERS.fullmatch(last)))


def ngrams(sequence: Sequence[T], n: int) -> list[tuple[T, ...]]:
    """Return every n consecutive elements, in order."""
    return [tuple(sequence[start : start + n]) for start in range(len(sequence) - n + 1)]


def distinct_n(texts: Iterable[Sequence[T]], n: int) -> float:
    """Return distinct n-grams of some texts as a share of all their n-grams, 0 to 1 (Li et al., 2016).

    The share is low if the texts resemble each other, and 1 without n-grams.
    """
    grams = [gram for text in texts for gram in ngrams(text, n)]
    return len(set(grams)) / len(grams) if grams else 1.0


def repetition(text: Sequence[T], n: int = 3) -> float:
    """Return the share of a text's n-grams that repeat an earlier one, 0 to 1."""
    return 1.0 - distinct_n([text], n)
