"""The outcomes of a long bench so far, one line of JSON each. They survive an interruption of the bench."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read_rows(log: Path) -> list[dict[str, Any]]:
    """Return the rows of a log; none without a log. An incomplete last line is left out."""
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    if lines and not lines[-1].endswith(("}\n", "}")):
        lines.pop()
    return [json.loads(line) for line in lines]


def add_row(log: Path, row: Mapping[str, Any]) -> None:
    """Add a row to a log. If the machine stops, the log has all of the row or nothing."""
    new = log.with_suffix(".new")
    new.write_text("".join(json.dumps(each) + "\n" for each in [*read_rows(log), row]))
    new.replace(log)
