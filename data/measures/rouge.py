"""ROUGE of a summary beside a reference (Lin, 2004), by the package rouge-score."""

from functools import cache

from rouge_score.rouge_scorer import RougeScorer


@cache
def _scorer() -> RougeScorer:
    return RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)


def rouge(reference: str, summary: str) -> dict[str, float]:
    """Return the F-measures rouge1, rouge2 and rougeL, 0 to 1, of stemmed words."""
    return {name: float(score.fmeasure) for name, score in _scorer().score(reference, summary).items()}
