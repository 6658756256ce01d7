"""Formats of others: what vendors' tools read and write, and what trainers read; one adapter a file, all named here.

Each says in LOSES what is lost: of an answer, on its way back from a tool; of a label, on its way to a trainer.
Parquet is ours and loses nothing; it is what `andon export` writes without being asked.
"""

from collections.abc import Callable, Set
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from data.errors import Refused
from data.exchange import argilla, csv_file, hh_rlhf, jsonl, label_studio, openai_2019, trl, trl_implicit
from data.exchange.labeled import Labeled
from data.exchange.questions import Questions

Write = TypeVar("Write")


class Format(NamedTuple, Generic[Write]):
    """A format: how it is written, and what it loses."""

    write: Write
    loses: Set[str]


# Questions for a labeling tool: write them into a folder and return the files.
QUESTION_FORMATS: dict[str, Format[Callable[[Questions, Path], list[Path]]]] = {
    "csv": Format(csv_file.write, csv_file.LOSES),
    "jsonl": Format(jsonl.write, jsonl.LOSES),
    "label-studio": Format(label_studio.write, label_studio.LOSES),
    "argilla": Format(argilla.write, argilla.LOSES),
}

# Labels for a trainer: write one file.
LABEL_FORMATS: dict[str, Format[Callable[[Labeled, Path], None]]] = {
    "trl": Format(trl.write, trl.LOSES),
    "trl-implicit": Format(trl_implicit.write, trl_implicit.LOSES),
    "openai2019": Format(openai_2019.write, openai_2019.LOSES),
    "hh-rlhf": Format(hh_rlhf.write, hh_rlhf.LOSES),
}


def check_format(name: str) -> None:
    """Raise Refused where there is no such format for questions."""
    if name not in QUESTION_FORMATS:
        raise Refused(f"There is no format {name} for questions; there are: {', '.join(sorted(QUESTION_FORMATS))}.")
