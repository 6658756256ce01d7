"""What a long bench has come to so far: one line of JSON an outcome, which survives whatever stops the bench."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read_rows(log: Path) -> list[dict[str, Any]]:
    """Return the rows of a log; none where there is no log. A last line that was cut off is none."""
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    if lines and not lines[-1].endswith(("}\n", "}")):
        lines.pop()
    return [json.loads(line) for line in lines]


def add_row(log: Path, row: Mapping[str, Any]) -> None:
    """Add a row: the log has all of it or nothing, whenever the machine stops."""
    new = log.with_suffix(".new")
    new.write_text("".join(json.dumps(each) + "\n" for each in [*read_rows(log), row]))
    new.replace(log)
