"""What of a response comes from its source: novelty, copied beginnings, and the places that were copied."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from data.measures.text import ngrams, sentences, words

GREETINGS = frozenset(("hi", "hello", "hey", "ok", "okay", "so"))
COPIED_WORDS = 3


def sentence_novelty(source: str, response: str) -> float | None:
    """Return the share of a response's sentences that do not stand in its source, word for word; None without any."""
    own = sentences(response)
    theirs = " ".join(["", *words(source), ""])
    return sum(" ".join(["", *each, ""]) not in theirs for each in own) / len(own) if own else None


def ngram_novelty(source: str, response: str, n: int) -> float | None:
    """Return the share of a response's n-grams of words that do not occur in its source; None without any."""
    own, theirs = ngrams(words(response), n), set(ngrams(words(source), n))
    return sum(gram not in theirs for gram in own) / len(own) if own else None


def starts_by_copying(source: str, response: str) -> bool:
    """Say whether a response begins with the first words of its source, three of them or all that it has."""
    own, theirs = words(response)[:COPIED_WORDS], words(source)[:COPIED_WORDS]
    return bool(own) and own == theirs[: len(own)]


def has_preamble(source: str, kind: Literal["tldr", "cnndm"]) -> bool:
    """Say whether a post opens with a greeting, or an article has a colon in its first three words.

    The definition of Ziegler et al. (2019).
    """
    if kind == "cnndm":
        return any(":" in word for word in source.split()[:3])
    return words(source)[:1] != [] and words(source)[0] in GREETINGS


def copied_bigrams(source: str, response: str) -> list[int]:
    """Return where in the source, in bigrams from 0, the longest common subsequence of bigrams of the two lies.

    Its length over the number of the response's bigrams is the share copied (Stiennon et al., 2020); its places, over
    many sources, are the figure of where a summary copies from (Ziegler et al., 2019). Time is O(source x response).
    """
    theirs, own = ngrams(words(source), 2), ngrams(words(response), 2)
    longest = _common_lengths(theirs, own)
    places, i, j = [], 0, 0
    while i < len(theirs) and j < len(own):
        if theirs[i] == own[j]:
            places.append(i)
            i, j = i + 1, j + 1
        elif longest[i + 1, j] >= longest[i, j + 1]:
            i += 1
        else:
            j += 1
    return places


def copied_share(source: str, response: str) -> float:
    """Return the longest common subsequence of bigrams over the response's bigrams, 0 to 1; 0 without any."""
    own = ngrams(words(response), 2)
    return len(copied_bigrams(source, response)) / len(own) if own else 0.0


def _common_lengths(left: Sequence[object], right: Sequence[object]) -> np.ndarray:
    """Return [i, j]: the longest common subsequence of left[i:] and right[j:]."""
    lengths = np.zeros((len(left) + 1, len(right) + 1), dtype=np.int32)
    for i in range(len(left) - 1, -1, -1):
        equal = np.fromiter((left[i] == each for each in right), bool, len(right))
        best = np.maximum(lengths[i + 1, :-1], np.where(equal, lengths[i + 1, 1:] + 1, 0))
        lengths[i, :-1] = np.maximum.accumulate(best[::-1])[::-1]
    return lengths
