"""What simulated labelers prefer: a number for a response to a query.

Stand-ins for people, so that a whole round runs without any: VADER for sentiment (Hutto & Gilbert 2014), the Lancaster
sensorimotor norms for physical description (Lynott et al. 2020), words in common with the source for summaries. The
reward model never sees these, only choices.
"""

import gzip
import re
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path

from data.measures.copying import address_of
from data.measures.words import ngrams, words

LEXICONS = Path(__file__).parent / "lexicons"
FAITHFUL_SCALE = 25.0  # so that what the embedded base writes spreads as for the others; a copied sentence has about 16
NEUTRAL = 3.0  # about the mean of the norms in prose, on their scale of 0 to 5


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
    """VADER's compound score, -1 to 1."""
    return _analyzer()(text)


def descriptiveness(text: str) -> float:
    """Mean perceptual strength of the content words, as a difference from ordinary prose; 0 where there are none."""
    words = [word for word in re.findall(r"[a-z]+", text.lower()) if word not in _function_words()]
    known = [_norms()[word] for word in words if word in _norms()]
    return sum(known) / len(known) - NEUTRAL if known else 0.0


def faithfulness(query: str, response: str) -> float:
    """How much of its source a summary has, and how much of itself is in the source: F-measure of content words and of
    pairs of neighbours, truth counting twice as much as coverage.

    A stand-in for a reader who checks every phrase, and no measure of summaries: it knows words and not meanings. A
    form of address says nothing, so repeating it is no coverage, but no invention either.
    """
    source, own = _content(query), _content(response)
    said = _content(query[len(address_of(query)) :])
    own -= source - said
    told = len(own & said)
    return FAITHFUL_SCALE * 1.25 * told / (len(own) + 0.25 * len(said)) if told else 0.0


@lru_cache(20_000)
def _content(text: str) -> frozenset[tuple[str, ...]]:
    """Return a text's content words, and its pairs of neighbours with a content word in them."""
    grams = [*ngrams(words(text), 1), *ngrams(words(text), 2)]
    return frozenset(gram for gram in grams if not _function_words().issuperset(gram))


@cache
def scorer(prefers: str) -> Callable[[str, str], float]:
    """Return the score of (query, response) by what a labeler prefers; the larger, the better liked. Texts that recur
    are read once."""
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
