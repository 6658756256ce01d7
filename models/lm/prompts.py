"""Prompts: texts to tokens and back, for one base and the text format of one campaign.

People and the reward model read a query. The policy reads a context, which is the query between the campaign's prefix
and suffix. A chat template would be one more way to surround a query, and would be here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from data.campaign.settings import TextFormat
from models.lm.tokens import PAD, pad_left, single_token, truncate


@dataclass(frozen=True)
class Prompts:
    """A tokenizer and a text format; `Base.prompts` makes it once for each base."""

    tokenizer: Any
    fmt: TextFormat

    @cached_property
    def stop(self) -> int:
        """The token that ends a valid response."""
        return single_token(self.tokenizer, self.fmt.truncate_at)

    @cached_property
    def affixes(self) -> tuple[list[int], list[int]]:
        """The tokens before and after each query, such as "TL;DR:", which only the policy reads."""
        prefix: list[int] = self.tokenizer.encode(self.fmt.prefix, add_special_tokens=False)
        suffix: list[int] = self.tokenizer.encode(self.fmt.suffix, add_special_tokens=False)
        return prefix, suffix

    def encode(self, text: str) -> list[int] | None:
        """Return at most `query_tokens` ids by the format's start and end rules; None if no part of the text fits."""
        ids = self._ids(text)
        if self.fmt.query_starts_after is not None:
            start = single_token(self.tokenizer, self.fmt.query_starts_after)
            if start not in ids:
                return None
            ids = ids[ids.index(start) + 1 :]
        ids = ids[: self.fmt.query_tokens]
        if self.fmt.query_ends_at is None:
            return ids or None
        end = single_token(self.tokenizer, self.fmt.query_ends_at)
        ends = [index for index, token in enumerate(ids) if token == end]
        return ids[: ends[-1] + 1] if ends else None

    def encode_response(self, text: str) -> list[int]:
        """Return the ids of a response in text form, cut to the length that the policy can write."""
        return self._ids(" " + text.strip())[: self.fmt.response_tokens]

    def surround(self, query: Sequence[int]) -> list[int]:
        """Return the context of a query."""
        prefix, suffix = self.affixes
        return [*prefix, *query, *suffix]

    def contexts(self, queries: Sequence[Sequence[int]]) -> Tensor:
        """Return the contexts [B, C] of queries, padded on the left."""
        return pad_left([self.surround(query) for query in queries])

    def truncate(self, responses: Tensor) -> tuple[Tensor, Tensor]:
        """Return responses [..., R] with PAD after their first stop, and whether each has a stop, so is valid."""
        return truncate(responses, self.stop, self.fmt.truncate_after)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text that people read: no padding, no special tokens, no spaces at the ends."""
        text: str = self.tokenizer.decode([token for token in tokens if token != PAD], skip_special_tokens=True)
        return text.strip()

    def _ids(self, text: str) -> list[int]:
        """Return the ids of a foreign text, in which "<|endoftext|>" is thirteen characters and no special token."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        return ids
