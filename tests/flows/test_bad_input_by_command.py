"""Every kind of bad answer file given to `andon ingest`: one line, exit code 1, nothing taken, and a good file goes in.

Real files and the real command, in this process and with the reader's child in it too: the child is tested elsewhere
(test_bad_input.py), and a start of Python a file is long.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.campaign.campaign import SHIPPED
from data.canonical import sha256_of_file
from data.ingest import pipeline
from data.labels.table import deliveries
from data.store import LocalStore
from flows.cli import main
from tests.support import scenario
from tests.support.bad_files import FILES, KEY, ROWS, VENDOR, Content, as_csv, as_parquet, rows, written
from tests.support.vendor import publish_batch

Ingest = Callable[[Path], tuple[int, str, str]]


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one batch that waits for answers."""
    folder = tmp_path_factory.mktemp("sent") / "store"
    publish_batch(LocalStore(folder), "sentiment", "b1", VENDOR, KEY)
    return folder


@pytest.fixture
def store(sent: Path, tmp_path: Path) -> LocalStore:
    shutil.copytree(sent, tmp_path / "store")
    return LocalStore(tmp_path / "store")


@pytest.fixture
def ingest(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Ingest:
    """Run `andon ingest` on a file and return exit code, output and errors."""
    campaign = tmp_path / "sentiment.toml"
    campaign.write_text((SHIPPED / "sentiment.toml").read_text().split("[presets")[0] + '\n[quality]\nroster = ["ann"]')
    monkeypatch.setattr("flows.cli.ingest.prepare", lambda store: None)
    monkeypatch.setattr(pipeline, "read_sandboxed", scenario.read_here)
    monkeypatch.setattr("tasks.ingest.MOST_REPORTED_AT_ONCE", 0)  # the quality report is not what is tested

    def run(file: Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["andon", "ingest", str(campaign), str(file), "--store", str(store.root)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def is_refused(ingest: Ingest, store: LocalStore, file: Path, said: str) -> str:
    """Ingest a bad file, hold the command to what it promises of it, then ingest a good one; return the message."""
    before = store.keys("campaigns")
    code, out, err = ingest(file)
    assert (code, out) == (1, "") and re.fullmatch(r"andon: [^\n]+\n", err), err
    assert file.name in err and re.search(said, err) and len(err) < 600 and "Traceback" not in err
    kept = {f"campaigns/sentiment/inbox/b1/{sha256_of_file(file)}"} if file.is_file() else set()
    new = set(store.keys("campaigns")) - set(before)
    reports = {key for key in new if key.startswith("campaigns/sentiment/quality/reports/refused/")}
    records = {key for key in new - reports if key.startswith("campaigns/sentiment/quality/refused/")}
    assert new - reports - records <= kept, "a copy of what was delivered, what is said of it, and nothing else"
    assert (len(reports), len(records)) == ((3, 1) if "The report for the vendor is " in err else (0, 0))
    code, out, _ = ingest(as_parquet(rows(), file.with_name("good.parquet")))
    assert code == 0 and "batch b1: 200 accepted, 0 quarantined, 0 duplicates" in out
    return err


@pytest.mark.parametrize(("kind", "content", "said"), FILES, ids=[case[0] for case in FILES])
def test_a_file_that_cannot_be_trusted_is_refused_whole(
    kind: str, content: Content, said: str, ingest: Ingest, store: LocalStore, tmp_path: Path
) -> None:
    is_refused(ingest, store, written(content, tmp_path / "delivery.dat"), said)


@pytest.mark.parametrize(("kind", "change", "said"), ROWS, ids=[case[0] for case in ROWS])
def test_a_file_with_too_many_bad_rows_names_the_first_and_its_reason(
    kind: str, change: dict[str, Any], said: str, ingest: Ingest, store: LocalStore, tmp_path: Path
) -> None:
    given = [{**row, "note": "", "answered_at": ""} for row in rows(12)]  # one of twelve is more than five in a hundred
    given[7] |= change
    message = is_refused(ingest, store, as_csv(given, tmp_path / "answers.csv"), said)
    assert "1 of 12 rows cannot be used" in message and "the first is row 8: " in message


def test_what_is_no_file_is_refused(ingest: Ingest, store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(as_csv(rows(), tmp_path / "a.csv"))
    (tmp_path / "folder").mkdir()
    is_refused(ingest, store, tmp_path / "folder", "is a folder")
    code, _, err = ingest(tmp_path / "link.csv")
    assert code == 1 and "is a link" in err
    code, _, err = ingest(tmp_path / "nowhere.csv")
    assert code == 1 and "There is no file" in err


def test_names_that_are_no_text_are_escaped_in_every_message(ingest: Ingest, store: LocalStore, tmp_path: Path) -> None:
    line_break, no_utf8 = tmp_path / "two\nlines.csv", tmp_path / os.fsdecode(b"answ\xff.csv")
    for file in (line_break, no_utf8):
        file.write_text("question_id;best\n")
    code, _, err = ingest(line_break)
    assert code == 1 and err.startswith(r"andon: two\nlines.csv lacks the column") and err.count("\n") == 1
    code, _, err = ingest(no_utf8)
    assert code == 1 and err.endswith("answ\\udcff.csv: the name is not UTF-8. Rename the file.\n")
    line_break.write_bytes(as_csv(rows(), tmp_path / "rows.arrow").read_bytes())
    for file in (line_break, tmp_path / "rows.arrow"):  # the second is called like a file of ours
        code, _, err = ingest(file)
        assert code == 0, err
    assert [entry["file_name"] for entry in deliveries(store, "sentiment")] == [r"two\nlines.csv"]


def test_half_a_surrogate_pair_in_json_harms_nobody(ingest: Ingest, store: LocalStore, tmp_path: Path) -> None:
    file = tmp_path / "answers.json"
    file.write_text(json.dumps([{**row, "x\ud800y": 1, "flags": ["\ud800"], "note": "\udfff"} for row in rows()]))
    code, out, err = ingest(file)
    assert code == 0 and "ignored columns: x?y" in out, err
    (entry,) = deliveries(store, "sentiment")
    assert (entry["accepted"], entry["ignored_columns"]) == (200, ["x?y"])


def test_columns_that_nobody_asked_for_are_named(ingest: Ingest, tmp_path: Path) -> None:
    given = [{**row, "team": "x", "cost\n": 3} for row in rows()]
    code, out, _ = ingest(as_csv(given, tmp_path / "answers.csv"))
    assert code == 0 and "ignored columns: cost, team" in out
