"""What simulated labelers prefer: a number for a text, from published word ratings.

Stand-ins for people, so that a whole round runs without any: VADER for sentiment (Hutto & Gilbert 2014), the Lancaster
sensorimotor norms for physical description (Lynott et al. 2020). The reward model never sees these lists, only choices.
"""

import gzip
import re
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path

LEXICONS = Path(__file__).parent / "lexicons"
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


@cache
def opinion(prefers: str) -> Callable[[str], float]:
    """Return the score of a text by what a labeler prefers; the larger, the better liked. Texts that recur are read
    once."""
    score: Callable[[str], float] = {
        "positive": sentiment,
        "negative": lambda text: -sentiment(text),
        "descriptive": descriptiveness,
        "plain": lambda text: -descriptiveness(text),
    }[prefers]
    return lru_cache(100_000)(score)
