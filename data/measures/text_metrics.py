"""What is measured of each system's texts, beside who is preferred: docs/evaluation.md defines each."""

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
    """Return the means over one system's responses; None where nothing could be measured, such as ROUGE without
    references."""
    told = [words(text) for text in responses]
    pairs = list(zip(sources, responses, strict=True))
    starts = [starts_by_copying(*pair) for pair in pairs]
    found: Measures = {
        "words": float(np.mean([len(each) for each in told])),
        "distinct_1": distinct_n(told, 1),
        "distinct_2": distinct_n(told, 2),
        "repetition": float(np.mean([repetition(each) for each in told])),
        "sentence_novelty": _mean([sentence_novelty(*pair) for pair in pairs]),
        "bigram_novelty": _mean([ngram_novelty(*pair, 2) for pair in pairs]),
        "trigram_novelty": _mean([ngram_novelty(*pair, 3) for pair in pairs]),
        "copied_share": _mean([copied_share(*pair) for pair in pairs]),
        "copied_start": float(np.mean(starts)),
    }
    if preambles != "none":
        opens = [has_preamble(source, preambles) for source in sources]
        found["copied_start_after_a_preamble"] = _mean([s for s, o in zip(starts, opens, strict=True) if o])
        found["copied_start_without"] = _mean([s for s, o in zip(starts, opens, strict=True) if not o])
    scored = [rouge(reference, text) for reference, text in zip(references, responses, strict=True) if reference]
    return found | {name: _mean([each[name] for each in scored]) for name in ROUGE}


def score_gaps(scores: Mapping[str, Sequence[float]], anchor: str) -> dict[str, tuple[float, float]]:
    """Return each system's mean score by the reward model, and the standard error of its distance from the anchor."""
    start = np.asarray(scores[anchor])
    found = {}
    for system, values in scores.items():
        gap = np.asarray(values) - start
        found[system] = float(np.mean(values)), float(gap.std(ddof=1) / len(gap) ** 0.5) if len(gap) > 1 else 0.0
    return found


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
