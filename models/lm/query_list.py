"""The encoded queries of a campaign in two arrays. Millions of posts as lists would take ten times the memory."""

from array import array
from collections.abc import Iterable, Sequence
from typing import overload

from data.campaign.queries import Split, read_queries
from models.lm.prompts import Prompts


class QueryList(Sequence[list[int]]):
    """Token lists as one array of 32-bit ids, and one of the places at which they end."""

    def __init__(self, rows: Iterable[Sequence[int]]) -> None:
        self.ids, self.ends = array("i"), array("q", [0])
        for row in rows:
            self.ids.extend(row)
            self.ends.append(len(self.ids))

    def __len__(self) -> int:
        return len(self.ends) - 1

    @overload
    def __getitem__(self, number: int) -> list[int]: ...
    @overload
    def __getitem__(self, number: slice) -> list[list[int]]: ...
    def __getitem__(self, number: int | slice) -> list[int] | list[list[int]]:
        if isinstance(number, slice):
            return [self[each] for each in range(len(self))[number]]
        place = range(len(self))[number]
        return self.ids[self.ends[place] : self.ends[place + 1]].tolist()


def query_tokens(prompts: Prompts, split: Split) -> QueryList:
    """Return the queries of a split that satisfy the campaign's text rules, in the order of the source."""
    encoded = (prompts.encode(query.text) for query in read_queries(prompts.fmt, split))
    return QueryList(tokens for tokens in encoded if tokens)
