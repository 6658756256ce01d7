"""Metrics of each system's texts, in addition to preferences. docs/evaluation.md defines them."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from data.measures.copying import copied_share, has_preamble, ngram_novelty, sentence_novelty, starts_by_copying
from data.measures.rouge import rouge
from data.measures.words import distinct_n, repetition, words

Measures = dict[str, float | None]
ROUGE = ("rouge1", "rouge2", "rougeL")


def measure_texts(
    sources: Sequence[str],
    responses: Sequence[str],
    references: Sequence[str | None],
    preambles: Literal["none", "tldr", "cnndm", "speeches"],
) -> Measures:
    """Return the means over one system's responses; None for what cannot be measured, such as ROUGE without references.

    `sources`, `responses` and `references` are parallel.
    """
    tokenized = [words(text) for text in responses]
    pairs = list(zip(sources, responses, strict=True))
    starts = [starts_by_copying(*pair) for pair in pairs]
    measures: Measures = {
        "words": float(np.mean([len(text) for text in tokenized])),
        "distinct_1": distinct_n(tokenized, 1),
        "distinct_2": distinct_n(tokenized, 2),
        "repetition": float(np.mean([repetition(text) for text in tokenized])),
        "sentence_novelty": _mean([sentence_novelty(*pair) for pair in pairs]),
        "bigram_novelty": _mean([ngram_novelty(*pair, 2) for pair in pairs]),
        "trigram_novelty": _mean([ngram_novelty(*pair, 3) for pair in pairs]),
        "copied_share": _mean([copied_share(*pair) for pair in pairs]),
        "copied_start": float(np.mean(starts)),
    }
    if preambles != "none":
        opens = [has_preamble(source, preambles) for source in sources]
        measures["copied_start_after_a_preamble"] = _mean([s for s, o in zip(starts, opens, strict=True) if o])
        measures["copied_start_without"] = _mean([s for s, o in zip(starts, opens, strict=True) if not o])
    scores = [rouge(reference, text) for reference, text in zip(references, responses, strict=True) if reference]
    return measures | {name: _mean([score[name] for score in scores]) for name in ROUGE}


def score_gaps(scores: Mapping[str, Sequence[float]], anchor: str) -> dict[str, tuple[float, float]]:
    """Return each system's mean score by the reward model, and the standard error of its difference to the anchor."""
    start = np.asarray(scores[anchor])
    gaps = {}
    for system, values in scores.items():
        gap = np.asarray(values) - start
        gaps[system] = float(np.mean(values)), float(gap.std(ddof=1) / len(gap) ** 0.5) if len(gap) > 1 else 0.0
    return gaps


def _mean(values: Sequence[float | None]) -> float | None:
    measured = [value for value in values if value is not None]
    return float(np.mean(measured)) if measured else None
