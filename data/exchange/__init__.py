"""Formats of others: what vendors' tools read and write, and what trainers read. Each adapter says what it loses.

Parquet is ours and loses nothing; it is what `andon export` writes without being asked.
"""

from collections.abc import Callable
from pathlib import Path

from data.exchange import argilla, csv_file, datasets, jsonl, label_studio
from data.exchange.questions import Questions
from data.refused import Refused

# Questions for a labeling tool: write them into a folder and return the files.
QUESTION_FORMATS: dict[str, Callable[[Questions, Path], list[Path]]] = {
    "csv": csv_file.write,
    "jsonl": jsonl.write,
    "label-studio": label_studio.write,
    "argilla": argilla.write,
}

# Labels for a trainer: write one file.
LABEL_FORMATS: dict[str, Callable[[datasets.Labeled, Path], None]] = {
    "trl": datasets.write_trl,
    "trl-implicit": datasets.write_trl_implicit,
    "openai2019": datasets.write_openai2019,
    "hh-rlhf": datasets.write_hh,
}


def check_format(name: str) -> None:
    """Raise Refused where there is no such format for questions."""
    if name not in QUESTION_FORMATS:
        raise Refused(f"There is no format {name} for questions; there are: {', '.join(sorted(QUESTION_FORMATS))}.")
