"""A refused file leaves a report that its vendor can be sent: what is wrong, in which rows, and nothing of the key."""

import csv
import io
import re
from pathlib import Path

import pytest

from data.errors import Refused
from data.ingest.pipeline import ingest
from data.ingest.vendor_report import CAUSES, SHOWN_ROWS
from tests.support.vendor import Round, Rows


@pytest.fixture
def sent(tmp_path: Path) -> Round:
    return Round(tmp_path)


def refused(sent: Round, rows: Rows) -> tuple[str, str, list[dict[str, str]]]:
    """Deliver rows that are refused; return what is said, and the page and the table of the report."""
    with pytest.raises(Refused) as refusal:
        sent.deliver(rows)
    return reported(refusal.value)


def reported(refusal: Refused) -> tuple[str, str, list[dict[str, str]]]:
    """Return what a refusal says, and the page and the table of its report."""
    found = re.search(r"The report for the vendor is (\S+report\.html)\. ", str(refusal))
    assert found, refusal
    page = Path(found[1])
    table = page.with_name("rows.csv").read_text(encoding="utf-8")
    return str(refusal), page.read_text(encoding="utf-8"), list(csv.DictReader(io.StringIO(table)))


def test_every_row_that_cannot_be_used_is_in_the_report_with_its_reason(sent: Round) -> None:
    rows = sent.answers()
    for number in range(0, 300, 2):
        rows[number]["best"] = 9 if number % 4 else -1
    said, page, table = refused(sent, rows)
    assert "150 of" in said and "the first is row 1: best is -1" in said
    assert [int(row["row"]) for row in table] == list(range(1, 300, 2))
    assert all(row["reason"].startswith(("best is 9", "best is -1")) for row in table)
    assert page.count("<code>question_id:") == SHOWN_ROWS and f"The first {SHOWN_ROWS} of 150 rows" in page
    assert "<td>1</td><td>150</td>" in page, "counted together, for they differ in a number only"


def test_lines_that_are_no_rows_are_in_the_report_as_they_came(sent: Round, tmp_path: Path) -> None:
    """As a spreadsheet leaves them below a table: fewer cells than there are columns."""
    rows, file, scratch = sent.answers(), tmp_path / "answers.csv", tmp_path / "scratch"
    with file.open("w", newline="") as text:
        table = csv.DictWriter(text, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
        text.write(",<b>,\r\n" * 200)
    scratch.mkdir()
    with pytest.raises(Refused) as refusal:
        ingest(sent.store, sent.campaign, file, scratch)
    said, page, found = reported(refusal.value)
    assert f"the first is row {len(rows) + 1}: has too few or too many cells" in said
    assert [(int(row["row"]), row["delivered"]) for row in found] == [(len(rows) + n, '",<b>,"') for n in range(1, 201)]
    assert page.count("<code>&#34;,&lt;b&gt;,&#34;</code>") == SHOWN_ROWS


def test_what_was_delivered_runs_neither_in_a_browser_nor_in_a_spreadsheet(sent: Round) -> None:
    rows = sent.answers()
    for row in rows[:200]:
        row["question_id"], row["labeler_id"] = "<script>alert(1)</script>", "=cmd|' /C calc'!A0"
    _, page, table = refused(sent, rows)
    assert "<script" not in page and "&lt;script&gt;" in page
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in table for cell in row.values())


def test_a_file_that_looks_wrong_as_a_whole_says_why_and_what_causes_it_and_names_no_test(sent: Round) -> None:
    said, page, table = refused(sent, sent.answers("inverted"))
    assert "answers look inverted" in said and CAUSES["answers_inverted"] in page
    assert table == [], "no single row is wrong"
    assert not any(row["question_id"] in page for row in sent.key), "which answers are known stays in the key"


def test_the_same_refusal_leaves_one_report(sent: Round) -> None:
    rows = sent.answers()
    for row in rows[:100]:
        row["content_sha256"] = "0" * 64
    assert refused(sent, rows) == refused(sent, rows)
    reports = [key for key in sent.store.keys("campaigns/c/quality/reports/refused") if key.endswith("report.html")]
    assert len(reports) == 1
