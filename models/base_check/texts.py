"""Comparisons of texts: what people are shown is what was sampled, and rows begin as the tokenizer begins a text."""

import time
from typing import NamedTuple

import torch

from data.base_check.facts import CheckCode, CheckedSample
from models.base_check.material import Material
from models.base_check.stages import Findings
from models.lm.sampling import draw_noise, sample
from models.lm.tokens import PAD
from models.lm.vocabulary import BROKEN, foreign_ids

K = 4  # responses to each query
SHOWN = 6


class Shown(NamedTuple):
    """Responses of the base as people see them."""

    valid: int
    sampled: int
    samples: list[CheckedSample]
    seconds: float  # to sample them


def compare_texts(of: Material, findings: Findings) -> Shown | None:
    """Sample responses to usual queries, and compare the texts with the tokens; None if nothing could be sampled."""
    prompts, shown = of.prompts, None
    codes = (CheckCode.BEGINNING, CheckCode.ROUND_TRIP, CheckCode.NO_TEXT, CheckCode.CUT_CHARACTER)
    with findings.stage("valid responses", *codes):
        findings.add(CheckCode.BEGINNING, _rows_without_beginning(of), 0)
        contexts = prompts.contexts(of.usual).to(of.base.model.device)
        noise = draw_noise(len(contexts), K, prompts.fmt, torch.Generator().manual_seed(1))
        began = time.perf_counter()
        drawn = sample(of.base.model, contexts, noise, prompts.fmt)
        seconds = time.perf_counter() - began
        cut, valid = prompts.truncate(drawn.tokens)
        rows = [[token for token in row if token != PAD] for row in cut.flatten(0, 1).tolist()]
        goods = valid.flatten().tolist()
        texts = [prompts.decode(row) for row in rows]
        seen = [(row, text) for row, text, good in zip(rows, texts, goods, strict=True) if good]  # by people
        findings.add(CheckCode.NO_TEXT, sum(_is_hidden(of, token) for row, _ in seen for token in row), 0)
        findings.add(CheckCode.ROUND_TRIP, sum(_read_again(of, text) != text for _, text in seen), 0)
        findings.add(CheckCode.CUT_CHARACTER, sum(BROKEN in text for _, text in seen), 0)
        queries = [prompts.decode(query) for query in of.usual]
        samples = [
            CheckedSample(query=query, response=texts[K * number], valid=goods[K * number])
            for number, query in enumerate(queries[:SHOWN])
        ]
        shown = Shown(sum(goods), len(goods), samples, seconds)
    return shown


def _rows_without_beginning(of: Material) -> int:
    """Count the queries and contexts that lack the token which the tokenizer puts before each text, if it does."""
    plain = of.base.tokenizer.encode("a", add_special_tokens=False)
    first = of.base.tokenizer.encode("a")[0]
    if first == plain[0]:
        return 0
    rows = [*of.usual, *map(of.prompts.surround, of.ragged)]
    return sum(row[0] != first for row in rows)


def _is_hidden(of: Material, token: int) -> bool:
    """Tell whether people see nothing of a token, which is not the stop. Parts of a character are seen together."""
    decode, word = of.base.tokenizer.decode, foreign_ids(of.base.tokenizer, "a")
    is_special = token in of.prompts.hidden and [token] not in of.prompts.stops
    return is_special or bool(decode([*word, token]) == decode(word))


def _read_again(of: Material, text: str) -> str:
    return of.prompts.decode(foreign_ids(of.base.tokenizer, text))
