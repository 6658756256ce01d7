"""What a base check works on: queries of the campaign with ragged lengths, and the code that the check depends on."""

import hashlib
from collections.abc import Iterable
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
import transformers

from data.base_check.registry import CheckInputs, text_format
from data.campaign import Campaign
from data.campaign.queries import read_queries
from data.canonical import content_id, plain
from data.errors import Refused
from models.lm.base import Base
from models.lm.precision import training_precision
from models.lm.prompts import Prompts
from models.lm.vocabulary import foreign_ids

NO_SETTINGS = ("_name_or_path", "transformers_version")  # of a configuration
MODELS = Path(__file__).resolve().parents[1]
LEARNER = ("lm", "ppo", "base_check", "reward/model.py")  # what samples, trains and scores, and what checks it
QUERIES = 16  # of the campaign, to count valid responses
TEXT = "It was late in the evening. Nobody had seen them, and the road was long. "  # if there are no queries


class Material(NamedTuple):
    """A base and its queries."""

    base: Base
    prompts: Prompts
    ragged: list[list[int]]  # a query of the campaign's full length, a usual one, a short one, and one token
    usual: list[list[int]]  # queries as they are, for the share of valid responses
    own: bool  # whether the queries are the campaign's


def material(base: Base, campaign: Campaign) -> Material:
    """Return what the check of a base for a campaign works on."""
    prompts = base.prompts(campaign.text)
    try:
        texts = [query.text for query in islice(read_queries(campaign.text, "train"), 4 * QUERIES)]
    except Refused:  # such as a dataset of the hub without a network
        texts = []
    usual = _encoded(prompts, texts)
    own = bool(usual)
    usual = usual or [prompts.begun(foreign_ids(base.tokenizer, TEXT)[: campaign.text.query_tokens])]
    return Material(base, prompts, ragged(prompts, usual), usual, own)


def _encoded(prompts: Prompts, texts: Iterable[str]) -> list[list[int]]:
    return list(islice((ids for text in texts if (ids := prompts.encode(text))), QUERIES))


def ragged(prompts: Prompts, queries: list[list[int]]) -> list[list[int]]:
    """Return four queries: one of the campaign's full length, a usual one, the shortest, and a single token."""
    ordered, most = sorted(queries, key=len), prompts.fmt.query_tokens
    tokens = [token for query in queries for token in query[len(prompts.begin) :]]
    longest = prompts.begun((tokens * (most // len(tokens) + 1))[:most])
    return [longest, ordered[len(ordered) // 2], ordered[0], prompts.begun(ordered[0][-1:])]


def check_inputs(base: Base, campaign: Campaign) -> CheckInputs:
    """Return all that the check of a base for a campaign depends on."""
    device = base.model.device.type
    return CheckInputs(
        weights=base.fingerprint,
        config=_config(base),
        tokenizer=_tokenizer(base),
        text=text_format(campaign),
        samples=campaign.batch.samples,
        learner=learner_code(),
        torch=torch.__version__,
        transformers=transformers.__version__,
        device=device,
        precision=training_precision(base.model),
    )


def _config(base: Base) -> str:
    """Return a hash of the configuration: models with the same weights may have other windows, scales or angles."""
    config = base.model.config.to_dict()
    return content_id({name: plain(value) for name, value in config.items() if name not in NO_SETTINGS})


def _tokenizer(base: Base) -> str:
    """Return a hash of the vocabulary, of the rules by which texts are split, and of the special tokens."""
    backend = getattr(base.tokenizer, "backend_tokenizer", None)
    rules = "" if backend is None else backend.to_str()
    return content_id([base.vocabulary, rules, base.tokenizer.encode("A b."), plain(base.tokenizer.special_tokens_map)])


@cache
def learner_code() -> str:
    """Return a hash of the code that samples, trains and scores."""
    digest = hashlib.sha256()
    for part in LEARNER:
        path = MODELS / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(f"{file.relative_to(MODELS)}\n".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]
