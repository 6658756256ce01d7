"""ROUGE of a summary beside a reference (Lin, 2004), by the package rouge-score, imported when it is needed."""

import re
import sys
import unicodedata
from functools import cache, lru_cache
from typing import Any

from data.measures.copying import growth

WORD = re.compile(r"[^\W_]+")


def _words(text: str) -> list[str]:
    """Return the runs of letters and digits, with the marks that belong to them, in lower case."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
        text = "".join(c if c.isalnum() or unicodedata.category(c).startswith("M") else " " for c in text)
        return text.lower().split()
    return WORD.findall(text.lower())


@cache
def _scorer() -> Any:
    from absl import logging
    from nltk.stem.porter import PorterStemmer
    from rouge_score.rouge_scorer import RougeScorer

    class Stems:
        """The package's words, for letters of other scripts too, which it drops; English ones stemmed as it does.

        With a memory: stemming is most of the time, and words recur.
        """

        stem = staticmethod(lru_cache(100_000)(PorterStemmer().stem))

        @staticmethod
        @lru_cache(20_000)
        def tokenize(text: str) -> list[str]:
            return [Stems.stem(word) if len(word) > 3 and word.isascii() else word for word in _words(text)]

    # absl, which rouge-score imports, closes whatever stderr it met when logging is configured anew, as Prefect does.
    logging.get_absl_handler().python_handler.stream = sys.__stderr__
    return RougeScorer(["rouge1", "rouge2"], tokenizer=Stems())


def rouge(reference: str, summary: str) -> dict[str, float]:
    """Return the F-measures rouge1, rouge2 and rougeL, 0 to 1, of stemmed words.

    ROUGE-L by bits gives the package's own numbers in a tenth of its time.
    """
    scorer = _scorer()
    found = {name: float(score.fmeasure) for name, score in scorer.score(reference, summary).items()}
    theirs, own = (scorer._tokenizer.tokenize(text) for text in (reference, summary))
    common = len(own) - growth(theirs, own)[-1].bit_count() if theirs and own else 0
    return found | {"rougeL": 2 * common / (len(theirs) + len(own)) if common else 0.0}
