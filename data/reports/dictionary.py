"""The data dictionary, docs/data-dictionary.md, made from the schemas; `python -m data.reports.dictionary` writes it.

The schemas decide which columns there are and of which type; here is only what each column means. A column without a
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
SAMPLES = 4  # of a question, in the page; a batch may have more or fewer


class Table(NamedTuple):
    """One table of the contract: what a row is, where it lies, its columns with their types, and what they mean."""

    title: str
    about: str
    columns: Sequence[tuple[str, str]]  # name, type
    meanings: Mapping[str, str]


IDS = {
    "question_id": "`q` and sixteen consonants, drawn from a secret of the batch; says nothing of the question",
    "content_sha256": "hash of instructions, query and options as shown: an answer must return it unchanged",
    "labeler_id": "who answered: any printable name of up to 200 bytes, the same for the same person",
}
SAID = {
    **{kind.name: kind.meaning for kind in DETAILED},
    "seconds": "how long the answer took",
    "confidence": "how sure the labeler was, as the vendor measures it",
    "note": "anything else that was said",
    "critique": "what is wrong with the options, in the labeler's words",
    "correction": "the response that the labeler would have written",
    "flags": "`stop_run` pulls the Andon cord; other flags are kept",
    "answered_at": "ISO 8601 with its offset; kept in UTC",
}
OPTION = "text of the option shown at this position, counted from 0"
QUESTIONS = {
    **IDS,
    "query": "what the options continue or summarise",
    **{f"option_{position}": OPTION for position in range(SAMPLES)},
    "instructions": "what the labeler is asked",
    "schema_version": f"of this table: {SCHEMA_VERSION}",
}
DELIVERED = {
    **IDS,
    **SAID,
    **{kind.name: "; ".join(filter(None, [kind.delivered, kind.meaning])) for kind in KINDS},
    "skip": "true where the labeler did not decide; there is no answer beside it",
    "supersedes": "id of the label that this answer corrects",
    "batch_id": "may come back; it is compared with what was sent",
    "schema_version": "may come back; it is compared with what was sent",
}
KEY_MEANS = {
    **IDS,
    "query_id": "of the query among those of the campaign",
    "query": "its text",
    "query_tokens": "its tokens, as the policy read them",
    "samples": "the responses in the order in which they were drawn: text, exact tokens, and the policy that wrote it",
    "shown": "shown[position] is the index of the sample that stood there",
    "item": "the same for all copies of a question",
    "role": "`main`, `overlap` (a copy for somebody else), `repeat` (for the same labeler), `gold`, `drift`",
    "gold": "index of the sample known to be best; null without one",
    "watched": "of a drift question, the sample whose share of choices is watched",
    "selection_reason": "`random`, `disagreement` or `rework`; null where nobody chose",
    "selection_score": "nats by which the reward models disagreed",
}
LABEL_MEANS = {
    **IDS,
    **SAID,
    "label_id": "hash of batch, question, labeler and answer: the same answer is the same label however it comes",
    "batch_id": "the batch that asked",
    "best_sample": "index of the sample chosen; null where several are best, or where there are ratings only",
    "best_shown": "the position at which it was shown",
    "source_row": "row of the delivered file, from 1",
    "supersedes": "the label that this one corrects; what it corrects no longer counts",
}
DECIDED_MEANS = {
    "label_id": "of the label",
    "labeler_id": "who gave it",
    "decision": "`accept`, `hold` or `reject`; a test is never trained on, whatever is decided",
    "weight": "with which it is trained on",
    "reasons": "why, in words",
    "rules": "version of the rules that decided",
}
JUDGED_MEANS = {
    "query": "id of the query",
    "left": "one system",
    "right": "the other",
    "labeler": "who judged",
    "won": "1 where the left one did, 0 where the right one did, 0.5 for a tie",
    "left_words": "length of the left response",
    "right_words": "length of the right response",
}

FORMATS_ABOUT = (
    "`andon export --format` writes questions for a labeling tool, `andon ingest` reads answers in any format that it "
    "recognises, and `andon dataset` writes labels for a trainer. The last column names what does not come back from a "
    "tool, or does not reach a trainer. A format is one file of `data/exchange/formats/`."
)


def tables() -> list[Table]:
    """Return every table of the contract, those of vendors first."""
    answers = [
        (name, "required" if name in REQUIRED else "one of these" if name in ONE_OF else "optional")
        for name in ALL_COLUMNS
    ]
    return [
        Table(
            "Questions, for labelers",
            "`questions-*.parquet` of a batch, and the same columns in CSV and JSON Lines. One row a question; as many "
            f"`option_n` as the campaign has samples ({SAMPLES} here). Nothing in it tells who wrote an option.",
            _columns(questions_schema(SAMPLES)),
            QUESTIONS,
        ),
        Table(
            "Answers, from labelers",
            "A file in a format that is read below, one row an answer. Text is enough for every column. Exactly one "
            f"of {', '.join(f'`{kind.name}`' for kind in KINDS)} and `skip` is an answer; `best` may stand beside a "
            "ranking that begins with it. "
            "Other columns are ignored, and named when the file is ingested.",
            answers,
            DELIVERED,
        ),
        Table(
            "Key, which stays with us",
            "`key/samples.parquet` of a batch: which sample stood where. One row a question, in the vendor's order.",
            _columns(KEY_SCHEMA),
            KEY_MEANS,
        ),
        Table(
            "Labels",
            "What was accepted of a delivery. Everything names samples, no longer positions, except `best_shown`.",
            _columns(LABEL),
            LABEL_MEANS,
        ),
        Table(
            "Decisions",
            "`labels.parquet` of a quality report: what was decided on every label, and why.",
            _columns(DECIDED),
            DECIDED_MEANS,
        ),
        Table(
            "Judgements",
            "`judgements.parquet` of an evaluation: which of two responses was preferred, blind.",
            _columns(JUDGEMENTS),
            JUDGED_MEANS,
        ),
    ]


def _columns(schema: pa.Schema) -> list[tuple[str, str]]:
    """Return names and types as a reader of Parquet in any language knows them."""
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
    """Return the page as Markdown; Refused where schemas and meanings do not match."""
    parts = [
        "# Data dictionary",
        "Written by `python -m data.reports.dictionary` from the schemas that the code reads and writes; a test "
        "compares them. Every table is Parquet unless it says otherwise. How the contract changes is in "
        "[CHANGELOG.md](../CHANGELOG.md); what is refused is in [bad-input.md](bad-input.md).",
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
