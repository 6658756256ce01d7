"""The registry of formats: one file of data/exchange/formats/ is a format everywhere; a file is recognised once."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.batches.schema import Question, Sample, blind, write_parts
from data.errors import Refused
from data.exchange import formats
from data.exchange.content import Content
from data.exchange.questions import Questions
from data.exchange.registry import all_formats, answer_formats, label_writer, question_writer, question_writers
from data.ingest.parse import parse_rows
from data.ingest.reader import open_answers
from data.ingest.sandbox import read_sandboxed
from data.reports.dictionary import dictionary

ROOT = Path(__file__).resolve().parents[2]
PIPES = '''"""Rows of four cells, separated by pipes."""

from data.exchange.format import Format
from data.exchange.json_rows import read_rows

NAMES = ["question_id", "content_sha256", "labeler_id", "best"]


def write(questions, folder):
    (folder / "questions.pipes").write_text("".join(f"|{q.question_id}|{q.query}|\\n" for q in questions))
    return [folder / "questions.pipes"]


def read(content):
    lines = content.path.read_text().splitlines()
    return read_rows(content.path, NAMES, [dict(zip(NAMES, line.strip("|").split("|"))) for line in lines])


FORMAT = Format("pipes", "cells between pipes", frozenset({"note"}), write, None, lambda c: c.head[:1] == b"|", read)
'''


@pytest.fixture
def with_pipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / "formats"
    folder.mkdir()
    (folder / "pipes.py").write_text(PIPES)
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(folder)])
    all_formats.cache_clear()
    yield
    all_formats.cache_clear()


@pytest.mark.usefixtures("with_pipes")
def test_a_new_format_is_one_new_file(tmp_path: Path) -> None:
    question = Question("q1", "What?", [1], (Sample("a", [2], "p"), Sample("b", [3], "p")))
    table, _ = blind([question], "Which?", b"secret")
    questions = Questions([path for _, path in write_parts(table, tmp_path)])
    (file,) = question_writer("pipes")(questions, tmp_path)
    assert file.read_text() == f"|{questions.first().question_id}|What?|\n"
    (tmp_path / "answers.txt").write_text("|qbbbbbbbbbbbbbbbb|c0|ann|1|\n|qcccccccccccccccc|c1|bob|0|\n")
    (chunk,) = open_answers(tmp_path / "answers.txt").chunks
    rows = parse_rows(chunk, "answers.txt").to_pylist()
    assert [(row["labeler_id"], row["best"], row["problem"]) for row in rows] == [("ann", 1, None), ("bob", 0, None)]
    assert "pipes" in answer_formats() and "| `pipes` | cells between pipes | yes | yes |  | note |" in dictionary()
    with pytest.raises(Refused, match=r"no format xml for questions; there are: .*, pipes\."):
        question_writer("xml")


def test_every_file_of_the_folder_is_a_format_and_is_told_from_all_others() -> None:
    files = {path.stem for path in Path(formats.__path__[0]).glob("*.py")} - {"__init__"}
    assert len(all_formats()) == len(files) and {"parquet", "csv", "jsonl", "json"} <= all_formats().keys()
    for name, form in all_formats().items():
        assert form.help and (form.recognise is None) == (form.read is None and form.elsewhere is None), name
        assert form.write_questions or form.write_labels or form.read, f"{name} does nothing"


ANSWER = {"question_id": "q", "content_sha256": "c", "labeler_id": "ann", "best": 0}
BEGINNINGS = {
    "csv": "question_id,content_sha256,labeler_id,best\nq,c,ann,0\n",
    "jsonl": json.dumps(ANSWER) + "\n",
    "json": "\ufeff \n" + json.dumps([ANSWER]),
    "label-studio": json.dumps([{"id": 1, "data": {}, "annotations": []}]),
    "argilla": json.dumps({"items": [{"id": 1, "fields": {}, "responses": {}}]}),
    "openai2019": json.dumps([{"query": [1], "sample0": [1], "sample1": [2], "best": 0}]),
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_one_format_recognises_a_file_besides_the_general_one_of_its_kind(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text(BEGINNINGS[name], encoding="utf-8")
    found = [form for form in all_formats().values() if form.recognise and form.recognise(Content(path))]
    assert [form.name for form in found if form.is_general or form.name == name][:1] != []
    special = [form.name for form in found if not form.is_general]
    assert special == ([] if all_formats()[name].is_general else [name])
    assert len([form for form in found if form.is_general]) == 1


def test_the_reader_with_limits_knows_the_formats_too(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(BEGINNINGS["openai2019"])
    with pytest.raises(Refused, match="label file of the 2019 release: take it in with andon import"):
        read_sandboxed(tmp_path / "a.json", tmp_path / "rows")
    (tmp_path / "b.csv").write_text(BEGINNINGS["csv"])
    assert read_sandboxed(tmp_path / "b.csv", tmp_path / "rows").total == 1


def test_the_formats_that_the_documents_show_exist() -> None:
    text = "\n".join(path.read_text() for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    shown = {name for name in re.findall(r"--format[ =]([a-z0-9-]+)", text)}
    assert shown and shown <= question_writers().keys()
    for name in re.findall(r"andon (?:labels )?dataset \S+ ([a-z0-9-]+)", text):
        assert callable(label_writer(name))
