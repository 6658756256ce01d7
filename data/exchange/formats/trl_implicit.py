"""TRL's preference format with an implicit prompt: two whole texts a line.

A label of k samples becomes k - 1 pairs. Where the query ends is lost: a reader takes the longest common beginning,
which is longer if both responses begin alike.
"""

import json
from pathlib import Path

from data.exchange.format import Format
from data.exchange.labeled import LOST_BY_ALL, Labeled
from data.exchange.questions import write_lines


def write(labeled: Labeled, path: Path) -> None:
    pairs = ({"chosen": f"{q} {chosen}", "rejected": f"{q} {other}"} for q, chosen, other in labeled.pairs())
    write_lines(path, (json.dumps(pair, ensure_ascii=False) for pair in pairs))


FORMAT = Format(
    name="trl-implicit",
    help="TRL's preference format with an implicit prompt: two whole texts a line",
    loses=LOST_BY_ALL | {"tokens", "label", "end of the query"},
    write_labels=write,
)
