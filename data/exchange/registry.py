"""The registry of formats: every file of data/exchange/formats/ is one.

Export, ingest, `andon dataset`, the help texts and the data dictionary read this registry. A new format is one new file
in that folder, and its test.
"""

import pkgutil
from collections.abc import Iterable
from functools import cache
from importlib import import_module

from data.errors import Refused
from data.exchange import formats
from data.exchange.columns import AnswerFile
from data.exchange.content import Content
from data.exchange.format import Format, WriteLabels, WriteQuestions


@cache
def all_formats() -> dict[str, Format]:
    """Return every format by its name."""
    modules = [import_module(f"{formats.__name__}.{module.name}") for module in pkgutil.iter_modules(formats.__path__)]
    defined: list[Format] = [module.FORMAT for module in modules]
    return {form.name: form for form in sorted(defined, key=lambda form: form.name)}


def question_writers() -> dict[str, WriteQuestions]:
    """Return the functions that write questions for a labeling tool, by format."""
    return {name: form.write_questions for name, form in all_formats().items() if form.write_questions is not None}


def label_writers() -> dict[str, WriteLabels]:
    """Return the functions that write labels for a trainer, by format."""
    return {name: form.write_labels for name, form in all_formats().items() if form.write_labels is not None}


def question_writer(name: str) -> WriteQuestions:
    """Return the function that writes questions in a format; raise Refused if there is no such format."""
    writers = question_writers()
    if name not in writers:
        raise Refused(f"There is no format {name} for questions; there are: {', '.join(writers)}.")
    return writers[name]


def label_writer(name: str) -> WriteLabels:
    """Return the function that writes labels in a format; raise Refused if there is no such format."""
    writers = label_writers()
    if name not in writers:
        raise Refused(f"There is no format {name} for labels; there are: {', '.join(writers)}.")
    return writers[name]


def answer_formats() -> list[str]:
    """Return the formats whose answers can be ingested."""
    return [name for name, form in all_formats().items() if form.read is not None]


def read_answers(content: Content) -> AnswerFile:
    """Read a delivered file by the first format that recognises it; formats of single tools are asked first."""
    for form in sorted(all_formats().values(), key=lambda form: form.is_general):
        if form.recognise is None or not form.recognise(content):
            continue
        if form.read is None:
            raise Refused(f"{content.path.name} {form.elsewhere}")
        return form.read(content)
    raise Refused(f"{content.path.name} is in no known format; there are: {', '.join(answer_formats())}.")


def listing(names: Iterable[str]) -> str:
    """Return names as in a sentence: `csv, jsonl or parquet`."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
