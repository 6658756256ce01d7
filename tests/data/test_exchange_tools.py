"""The SDKs of Label Studio and Argilla accept our exports, and their answers come back: `make test-exchange`."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from data.batches.schema import Question, Sample, blind, write_parts
from data.campaign.settings import Ask
from data.exchange.questions import Questions
from data.exchange.registry import question_writers
from data.ingest.parse import parse_rows
from data.ingest.reader import open_answers

pytestmark = pytest.mark.exchange
ROOT = Path(__file__).resolve().parents[2]
SDKS = ROOT / ".venv-exchange" / "bin" / "python"
TEXTS = ['=HYPERLINK("http://x")', 'a, "quoted"\nline', "na\u00efve \u65e5\u672c", "<b>&amp;</b> $x {{y}}"]
ASKS = {
    "best": Ask(),
    "ranking": Ask(kind="ranking", critique=True),
    "ratings": Ask(kind="ratings", axes=("accuracy", "overall"), critique=True, correction=True),
}


@pytest.mark.parametrize("tool", ["label-studio", "argilla"])
@pytest.mark.parametrize("kind", ASKS)
def test_the_tools_sdk_accepts_what_we_export_and_its_answers_come_back(tool: str, kind: str, tmp_path: Path) -> None:
    assert SDKS.exists(), "the SDKs are in a virtual environment of their own: make test-exchange"
    made = [
        Question(f"q{n}", f"Query {n}", [1], tuple(Sample(f"{text} {n}", [2], "p") for text in TEXTS)) for n in range(5)
    ]
    table, _ = blind(made, f"Which is <best>? {ASKS[kind].wording()}".strip(), b"secret")
    questions = Questions([path for _, path in write_parts(table, tmp_path)], ASKS[kind])
    folder = tmp_path / tool
    folder.mkdir()
    question_writers()[tool](questions, folder)
    script = [str(SDKS), str(ROOT / "tests" / "support" / "exchange_tools.py"), tool, str(folder)]
    found = subprocess.run(script, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout.splitlines()[-1])["tasks" if tool == "label-studio" else "records"] == len(made)
    rows = rows_of(folder / "answers.json")
    assert [row["problem"] for row in rows] == [None] * len(made)
    assert {row["question_id"]: row["content_sha256"] for row in rows} == {
        each.question_id: each.content_sha256 for each in questions
    }
    assert all(row[kind] is not None for row in rows)
    assert all(row["critique"] for row in rows) == ASKS[kind].critique
    assert all(row["correction"] for row in rows) == ASKS[kind].correction
    assert tool != "argilla" or _said(rows_of(folder / "flat.json")) == _said(rows), "flattened or not"


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [row for part in open_answers(path).chunks for row in parse_rows(part, path.name).to_pylist()]


def _said(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "raw"} for row in rows]
