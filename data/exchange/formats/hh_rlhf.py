"""hh-rlhf: two whole transcripts a line, of which ours have one turn each.

A label of k samples becomes k - 1 pairs. Where the turn ends is lost for a query or response that itself holds the mark
of a turn.
"""

import json
from pathlib import Path

from data.exchange.format import Format
from data.exchange.labeled import LOST_BY_ALL, Labeled
from data.exchange.questions import write_lines

HUMAN, ASSISTANT = "\n\nHuman: ", "\n\nAssistant: "


def write(labeled: Labeled, path: Path) -> None:
    pairs = (
        {"chosen": _transcript(query, chosen), "rejected": _transcript(query, other)}
        for query, chosen, other in labeled.pairs()
    )
    write_lines(path, (json.dumps(pair, ensure_ascii=False) for pair in pairs))


def _transcript(query: str, response: str) -> str:
    return f"{HUMAN}{query}{ASSISTANT}{response}"


FORMAT = Format(
    name="hh-rlhf",
    help="hh-rlhf: two whole transcripts a line",
    loses=LOST_BY_ALL | {"tokens", "label"},
    write_labels=write,
)
