"""The data dictionary, docs/data-dictionary.md, made from the schemas; `python -m data.reports.dictionary` writes it.

The schemas define the columns and their types. This file only defines the meaning of each column. A column without a
meaning is an error.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from data.answers import DETAILED, KINDS
from data.batches.contract import ALL_COLUMNS, ONE_OF, REQUIRED
from data.batches.schema import KEY_SCHEMA, SCHEMA_VERSION, questions_schema
from data.errors import Refused
from data.evaluation.judgements import JUDGEMENTS
from data.exchange.registry import all_formats
from data.labels.table import LABEL
from data.reports.quality import DECIDED

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data-dictionary.md"
SAMPLES = 4  # samples of a question in the page's tables; a batch may have more or fewer


class Table(NamedTuple):
    """One table of the contract: its rows, its file, its columns with their types, and their meanings."""

    title: str
    about: str
    columns: Sequence[tuple[str, str]]  # name, type
    meanings: Mapping[str, str]


IDS = {
    "question_id": "`q` and sixteen consonants, drawn from a secret of the batch; reveals nothing about the question",
    "content_sha256": "hash of instructions, query and options as shown; an answer must return it unchanged",
    "labeler_id": "name of the labeler: up to 200 bytes, printable, always the same for the same person",
}
ANSWERS = {
    **{kind.name: kind.meaning for kind in DETAILED},
    "seconds": "duration of the answer",
    "confidence": "confidence of the labeler, on the vendor's scale",
    "note": "any other comment of the labeler",
    "critique": "the labeler's criticism of the options",
    "correction": "the response that the labeler would have written",
    "flags": "`stop_run` pulls the Andon cord; other flags are stored",
    "answered_at": "ISO 8601 with an offset; stored in UTC",
}
OPTION = "text of the option shown at this position, counted from 0"
QUESTION_COLUMNS = {
    **IDS,
    "query": "the text that the options continue or summarize",
    **{f"option_{position}": OPTION for position in range(SAMPLES)},
    "instructions": "the instructions for the labeler",
    "schema_version": f"version of this table: {SCHEMA_VERSION}",
}
ANSWER_COLUMNS = {
    **IDS,
    **ANSWERS,
    **{kind.name: "; ".join(filter(None, [kind.delivered, kind.meaning])) for kind in KINDS},
    "skip": "true if the labeler did not decide; then the row has no other answer",
    "supersedes": "id of the label that this answer corrects",
    "batch_id": "may be returned; it is compared with the exported value",
    "schema_version": "may be returned; it is compared with the exported value",
}
KEY_COLUMNS = {
    **IDS,
    "query_id": "id of the query in the campaign",
    "query": "text of the query",
    "query_tokens": "tokens of the query, as the policy read them",
    "samples": "the responses in the order of sampling: text, exact tokens, and the policy that wrote them",
    "shown": "shown[position] is the index of the sample at that position",
    "item": "id that all copies of a question share",
    "role": "`main`, `overlap` (a copy for another labeler), `repeat` (for the same labeler), `gold`, `drift`",
    "gold": "index of the sample that is known to be best, or null",
    "watched": "index of the watched sample of a drift question",
    "selection_reason": "`random`, `disagreement` or `rework`; null if the question was not selected",
    "selection_score": "disagreement of the reward models in nats",
}
LABEL_COLUMNS = {
    **IDS,
    **ANSWERS,
    "label_id": "hash of batch, question, labeler and answer; it does not depend on the delivered file",
    "batch_id": "id of the batch",
    "best_sample": "index of the chosen sample; null if several are best, or if there are only ratings",
    "best_shown": "position of the chosen sample as shown",
    "source_row": "row of the delivered file, counted from 1",
    "supersedes": "id of the label that this one corrects; the corrected label no longer counts",
}
DECISION_COLUMNS = {
    "label_id": "id of the label",
    "labeler_id": "the labeler",
    "decision": "`accept`, `hold` or `reject`; gold and drift questions are never used for training in any case",
    "weight": "weight in training",
    "reasons": "the reasons in words",
    "rules": "version of the rules",
}
JUDGEMENT_COLUMNS = {
    "query": "id of the query",
    "left": "first system",
    "right": "second system",
    "labeler": "the judge",
    "won": "1 if the left response was preferred, 0 if the right one was, 0.5 for a tie",
    "left_words": "length of the left response",
    "right_words": "length of the right response",
}

FORMATS_ABOUT = (
    "`andon export --format` writes questions for a labeling tool, `andon ingest` reads answers in every format with a "
    "yes in the column, and `andon dataset` writes labels for a trainer. The last column names what a format loses: "
    "what a tool does not return, or a trainer does not get. Each format is one file in `data/exchange/formats/`."
)


def tables() -> list[Table]:
    """Return every table of the contract, the vendors' tables first."""
    answers = [
        (name, "required" if name in REQUIRED else "one of these" if name in ONE_OF else "optional")
        for name in ALL_COLUMNS
    ]
    return [
        Table(
            "Questions, for labelers",
            "`questions-*.parquet` of a batch, and the same columns in CSV and JSON Lines. One row is a question. "
            f"There are as many `option_n` as the campaign has samples ({SAMPLES} here). No column tells who wrote an "
            "option.",
            _columns(questions_schema(SAMPLES)),
            QUESTION_COLUMNS,
        ),
        Table(
            "Answers, from labelers",
            "A file in one of the formats below, with one row for each answer. Every column may be text. A row has "
            f"`skip`, or at least one of {', '.join(f'`{kind.name}`' for kind in KINDS)}. If it has a `best` and a "
            "ranking, the ranking starts with it. Other columns are ignored; ingest names them.",
            answers,
            ANSWER_COLUMNS,
        ),
        Table(
            "Key, which stays in the store",
            "`key/samples.parquet` of a batch: the sample at each position. One row is a question, in vendor order.",
            _columns(KEY_SCHEMA),
            KEY_COLUMNS,
        ),
        Table(
            "Labels",
            "The accepted rows of a delivery. All columns name samples, not positions, except `best_shown`.",
            _columns(LABEL),
            LABEL_COLUMNS,
        ),
        Table(
            "Decisions",
            "`labels.parquet` of a quality report: the decision on every label, with its reasons.",
            _columns(DECIDED),
            DECISION_COLUMNS,
        ),
        Table(
            "Judgements",
            "`judgements.parquet` of an evaluation: blind preferences between two responses.",
            _columns(JUDGEMENTS),
            JUDGEMENT_COLUMNS,
        ),
    ]


def _columns(schema: pa.Schema) -> list[tuple[str, str]]:
    """Return names and types as a Parquet reader of any language shows them."""
    return [(field.name, str(field.type).replace("element: ", "").replace("item: ", "")) for field in schema]


def _formats() -> list[str]:
    """Return the table of all formats."""
    lines = ["| format | | questions | answers | labels | loses |", "|---|---|---|---|---|---|"]
    for form in all_formats().values():
        parts = (form.write_questions, form.read, form.write_labels)
        marks = " | ".join("yes" if part else "" for part in parts)
        lines.append(f"| `{form.name}` | {form.help} | {marks} | {', '.join(sorted(form.loses))} |")
    return lines


def dictionary() -> str:
    """Return the page as Markdown; raise Refused if schemas and meanings do not match."""
    parts = [
        "# Data dictionary",
        "For people who read or write the tables of a store. `python -m data.reports.dictionary` writes this page from "
        "the schemas that the code uses; a test compares them. Every table is Parquet unless it says otherwise. "
        "[CHANGELOG.md](../CHANGELOG.md) has the changes of the contract, [bad-input.md](bad-input.md) refused input.",
    ]
    for table in tables():
        names = [name for name, _ in table.columns]
        if missing := sorted(set(names) - set(table.meanings)):
            raise Refused(f"{table.title}: no meaning for {', '.join(missing)}; add it to data/reports/dictionary.py.")
        rows = [f"| `{name}` | {kind} | {table.meanings[name]} |" for name, kind in table.columns]
        header = "| column | | meaning |" if table.title.startswith("Answers") else "| column | type | meaning |"
        parts += [f"## {table.title}", table.about, "\n".join([header, "|---|---|---|", *rows])]
    parts += ["## Formats", FORMATS_ABOUT, "\n".join(_formats())]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(dictionary(), "utf-8")
