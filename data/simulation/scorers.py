"""Scorers of simulated labelers: a number for a response to a query. They replace people, so that a round needs none.

- Sentiment: VADER (Hutto & Gilbert 2014).
- Physical description: the Lancaster sensorimotor norms (Lynott et al. 2020).
- Summaries: words in common with the source.

The reward model gets only the choices, never the scores.
"""

import gzip
import re
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path

from data.measures.copying import address_of
from data.measures.words import ngrams, words

LEXICONS = Path(__file__).parent / "lexicons"
FAITHFUL_SCALE = (
    25.0  # gives texts of the embedded base the spread of the other scorers; a copied sentence has about 16
)
NEUTRAL = 3.0  # approximate mean of the norms in prose, on their scale of 0 to 5


@cache
def _function_words() -> frozenset[str]:
    return frozenset((LEXICONS / "function_words.txt").read_text(encoding="utf-8").split())


@cache
def _analyzer() -> Callable[[str], float]:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()
    return lambda text: float(analyzer.polarity_scores(text)["compound"])


@cache
def _norms() -> dict[str, float]:
    with gzip.open(LEXICONS / "sensorimotor.tsv.gz", "rt", encoding="utf-8") as file:
        return {word: float(strength) for word, strength in (line.rstrip("\n").split("\t") for line in file)}


def sentiment(text: str) -> float:
    """Return VADER's compound score, -1 to 1."""
    return _analyzer()(text)


def descriptiveness(text: str) -> float:
    """Return the mean perceptual strength of the content words, minus that of ordinary prose; 0 without any."""
    words = [word for word in re.findall(r"[a-z]+", text.lower()) if word not in _function_words()]
    strengths = [_norms()[word] for word in words if word in _norms()]
    return sum(strengths) / len(strengths) - NEUTRAL if strengths else 0.0


def faithfulness(query: str, response: str) -> float:
    """Return the F-measure of content words and neighbouring pairs that summary and source share.

    Precision counts twice as much as recall. The score replaces a reader who checks every phrase. It is no measure of
    summaries, because it compares words and not meanings. A form of address counts neither for nor against a summary.
    """
    source, own = _content(query), _content(response)
    body = _content(query[len(address_of(query)) :])
    own -= source - body
    shared = len(own & body)
    return FAITHFUL_SCALE * 1.25 * shared / (len(own) + 0.25 * len(body)) if shared else 0.0


@lru_cache(20_000)
def _content(text: str) -> frozenset[tuple[str, ...]]:
    """Return a text's content words, and its neighbouring pairs with at least one content word."""
    grams = [*ngrams(words(text), 1), *ngrams(words(text), 2)]
    return frozenset(gram for gram in grams if not _function_words().issuperset(gram))


@cache
def scorer(prefers: str) -> Callable[[str, str], float]:
    """Return the scorer of (query, response) for a preference of `[labelers]`. Scores of recurring texts are cached."""
    if prefers == "faithful":
        return lru_cache(100_000)(faithfulness)
    of_text: dict[str, Callable[[str], float]] = {
        "positive": sentiment,
        "negative": lambda text: -sentiment(text),
        "descriptive": descriptiveness,
        "plain": lambda text: -descriptiveness(text),
    }
    score = lru_cache(100_000)(of_text[prefers])
    return lambda query, response: score(response)
