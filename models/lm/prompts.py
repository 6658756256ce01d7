"""Prompts: texts to tokens and back, for one base and the text format of one campaign.

People and the reward model read a query. The policy reads a context, which is the query between the campaign's prefix
and suffix. A chat template would be one more way to surround a query, and would be here. If the base's tokenizer puts
BOS before every text, every query and every context begins with it, and nobody is shown it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from data.campaign.settings import TextFormat
from models.lm.tokens import PAD, ends, pad_left, truncate
from models.lm.vocabulary import (
    BROKEN,
    Sequences,
    begin,
    foreign_ids,
    inner_ids,
    inner_texts,
    plain_ids,
    special_ids,
    stops,
)


@dataclass(frozen=True)
class Prompts:
    """A tokenizer and a text format; `Base.prompts` makes it for a base."""

    tokenizer: Any
    fmt: TextFormat

    @cached_property
    def begin(self) -> list[int]:
        """The tokens with which every row begins: BOS if the tokenizer adds it, else nothing."""
        return begin(self.tokenizer)

    @cached_property
    def stops(self) -> Sequences:
        """The token sequences that end a valid response."""
        return stops(self.tokenizer, self.fmt.truncate_at)

    @cached_property
    def stop(self) -> list[int]:
        """The stop as the tokenizer writes it, which ends a reference response that has none."""
        return inner_ids(self.tokenizer, self.fmt.truncate_at)

    @cached_property
    def affixes(self) -> tuple[list[int], list[int]]:
        """The tokens before and after each query, such as "TL;DR:", which only the policy reads."""
        prefix = plain_ids(self.tokenizer, self.fmt.prefix)
        return self._bare(prefix), inner_ids(self.tokenizer, self.fmt.suffix)

    @cached_property
    def hidden(self) -> set[int]:
        """The special tokens that people are never shown.

        The end of text is none of them, unless it is the stop or BOS as well. It is sampled like any other token and is
        shown by its name, as in 2019.
        """
        end = {self.tokenizer.eos_token_id} - self._single_stops - set(self.begin)
        return special_ids(self.tokenizer) - end

    @property
    def size(self) -> int:
        """The first id beyond the tokenizer. Such ids are rows that pad the embedding."""
        return len(inner_texts(self.tokenizer))

    @cached_property
    def unreadable(self) -> list[int]:
        """The ids that make a response invalid: hidden special tokens other than the stop, and ids without a token."""
        missing = set(range(self.size)) - set(self.tokenizer.get_vocab().values())
        return sorted((missing | self.hidden) - self._single_stops)

    @cached_property
    def parts(self) -> set[int]:
        """The ids that are a part of a character, and not a whole one."""
        return {token for token, text in enumerate(inner_texts(self.tokenizer)) if BROKEN in text}

    @cached_property
    def _single_stops(self) -> set[int]:
        return {stop[0] for stop in self.stops if len(stop) == 1}

    @cached_property
    def padding(self) -> int | None:
        """A token at which no valid response ends, for programs that pad with a token; None if there is none."""
        names = [self.tokenizer.pad_token_id, self.tokenizer.eos_token_id, *sorted(special_ids(self.tokenizer))]
        return next((token for token in names if token is not None and token not in self._single_stops), None)

    def encode(self, text: str) -> list[int] | None:
        """Return at most `query_tokens` ids by the format's start and end rules, after BOS if the tokenizer adds it.

        Returns None if no part of the text fits.
        """
        ids = foreign_ids(self.tokenizer, text)
        if self.fmt.query_starts_after is not None:
            starts = self._ends_of(ids, self.fmt.query_starts_after)
            if not starts:
                return None
            ids = ids[starts[0] :]
        ids = self._whole(ids, self.fmt.query_tokens)
        if self.fmt.query_ends_at is not None:
            ids = ids[: max(self._ends_of(ids, self.fmt.query_ends_at), default=0)]
        return [*self.begin, *ids] if ids else None

    def encode_response(self, text: str) -> list[int]:
        """Return the ids of a response in text form, cut to the length that the policy can write."""
        ids = inner_ids(self.tokenizer, " " + text.strip(), encode=foreign_ids)
        return self._whole(ids, self.fmt.response_tokens)

    def begun(self, query: Sequence[int]) -> list[int]:
        """Return a query with BOS at its start, once; the tokens of an old batch lack it."""
        return [*self.begin, *self._bare(query)]

    def surround(self, query: Sequence[int]) -> list[int]:
        """Return the context of a query."""
        prefix, suffix = self.affixes
        return [*self.begin, *prefix, *self._bare(query), *suffix]

    def contexts(self, queries: Sequence[Sequence[int]]) -> Tensor:
        """Return the contexts [B, C] of queries, padded on the left."""
        return pad_left([self.surround(query) for query in queries])

    def truncate(self, responses: Tensor) -> tuple[Tensor, Tensor]:
        """Return responses [..., R] with PAD after their first stop, and whether each is valid.

        A valid response has a stop, and people can read exactly what was sampled: it has no unreadable id and no part
        of a character. PPO samples from the whole softmax and trains on it, so an invalid response costs its score,
        and no distribution is changed.
        """
        cut, valid = truncate(responses, self.stops, self.fmt.truncate_after)
        valid &= ~((cut >= self.size) | torch.isin(cut, cut.new_tensor(self.unreadable))).any(-1)
        parted = valid & torch.isin(cut, cut.new_tensor(sorted(self.parts))).any(-1)
        for place in parted.nonzero().tolist():
            valid[tuple(place)] = BROKEN not in self.decode(cut[tuple(place)].tolist())
        return cut, valid

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text that people read: no padding, no hidden special tokens, no spaces at the ends."""
        return self._text(token for token in tokens if token != PAD and token not in self.hidden).strip()

    def _text(self, tokens: Iterable[int]) -> str:
        """Return the text of tokens, character for character."""
        ids = list(tokens)
        text: str = self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    def _bare(self, query: Sequence[int]) -> list[int]:
        """Return tokens without BOS at their start."""
        count = len(self.begin)
        return list(query[count:] if list(query[:count]) == self.begin else query)

    def _whole(self, ids: list[int], most: int) -> list[int]:
        """Return at most so many first tokens of a text, which end with a whole character."""
        cut = ids[:most]
        while len(cut) < len(ids) and cut and cut[-1] in self.parts:
            if self._text(ids).startswith(self._text(cut)):
                break
            cut = cut[:-1]
        return cut

    def _ends_of(self, ids: list[int], rule: str) -> list[int]:
        """Return the number of tokens up to and including each token that a text rule names."""
        return (ends(torch.tensor(ids, dtype=torch.long), stops(self.tokenizer, rule)).nonzero()[:, 0] + 1).tolist()
