"""TRL's preference format: a prompt, the completion that was chosen and one that was not, a line a pair.

A label of k samples becomes k - 1 pairs. The space between prompt and completion stays with the completion, so that
prompt + chosen is the text that was read.
"""

import json
from pathlib import Path

from data.exchange.format import Format
from data.exchange.labeled import LOST_BY_ALL, Labeled
from data.exchange.questions import write_lines


def write(labeled: Labeled, path: Path) -> None:
    pairs = ({"prompt": q, "chosen": " " + chosen, "rejected": " " + other} for q, chosen, other in labeled.pairs())
    write_lines(path, (json.dumps(pair, ensure_ascii=False) for pair in pairs))


FORMAT = Format(
    name="trl",
    help="TRL's preference format: prompt, chosen and rejected, a line a pair",
    loses=LOST_BY_ALL | {"tokens", "label"},  # label: which pairs were one answer among k
    write_labels=write,
)
