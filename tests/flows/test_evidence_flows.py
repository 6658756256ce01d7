"""Evidence through real flows: systems side by side by one command, people asked which is better, reports of it all."""

import csv
import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data.labels.label_sets import freeze
from data.store import LocalStore
from tests.support.command import Andon, files_of

pytestmark = [pytest.mark.flow, pytest.mark.usefixtures("prefect")]


def test_systems_side_by_side_and_what_people_say_of_them(
    andon: Andon, first_run: str, tiny_toml: Path, tmp_path: Path
) -> None:
    run = first_run
    store, folder = LocalStore(tmp_path / "store"), tmp_path / "store"
    trained_on = freeze(store, "sentiment")

    asked = ("evaluate", tiny_toml, "--systems", "zero-shot,rl,best-of-8", "--queries", 12)
    found = andon(*asked)
    assert found["systems"] == ["zero-shot", "rl", "best-of-8"] and found["runs"]["rl"] == run
    assert len(found["contests"]) == 3 and set(found["elo"]) == set(found["systems"])
    assert found["elo"]["zero-shot"]["elo"] == 0 and found["scores"]["best-of-8"][0] > found["scores"]["zero-shot"][0]
    assert found["seconds"] > found["model_seconds"] > 0
    page = Path(found["report"]).read_text()
    assert page.startswith("<!doctype html>") and "best-of-8" in page and "<svg" in page
    (answers,) = folder.glob("campaigns/sentiment/evaluations/*/*/responses.parquet")
    assert len(pq.read_table(answers)) == 3 * found["pairs"]
    before = files_of(folder)
    assert andon(*asked) == found and files_of(folder) == before, "again it is only looked up"
    assert andon("evaluate", tiny_toml, "--queries", 8)["systems"] == ["zero-shot", "rl", "best-of-4"]

    for systems, why in {
        "zero-shot,reference": "none of the test queries has a reference",
        "zero-shot,lead-3": "has no text.suffix",
        "zero-shot,supervised-rl": "no supervised-rl model",
        "zero-shot,rl,champion": "the same system",
        "zero-shot": "Name at least two of",
        "zero-shot,gpt-9": "no system gpt-9",
    }.items():
        assert why in andon("evaluate", tiny_toml, "--systems", systems, code=1)["message"], systems
    assert "not both" in andon("evaluate", tiny_toml, run, "--systems", "rl,zero-shot", code=1)["message"]

    sent = andon("export", tiny_toml, "--compare", "rl", "zero-shot", "--questions", 20, "--format", "csv")
    assert andon("export", tiny_toml, "--compare", run, "zero-shot", "--questions", 20)["batch"] == sent["batch"]
    questions = pq.read_table(sent["vendor_files"][0])
    assert set(questions.column_names) >= {"option_0", "option_1"} and "option_2" not in questions.column_names
    assert run not in Path(sent["vendor_files"][1]).read_text(), "blind"
    said = questions.select(["question_id", "content_sha256"])
    people = [f"person {number % 3}" for number in range(len(said))]
    said = said.append_column("labeler_id", [people]).append_column("best", [[n % 2 for n in range(len(said))]])
    pq.write_table(said, tmp_path / "said.parquet")
    done = andon("ingest", tiny_toml, tmp_path / "said.parquet")
    assert done["accepted"] == len(said) and done["compares"] and done["label_set"] is None
    assert freeze(store, "sentiment") == trained_on, "nothing is trained on what people said of the systems"
    assert [turn["labels"] for turn in andon("status")["campaigns"][0]["rounds"]] == [24]

    of_run = Path(andon("report", run)["report"]).read_text()
    assert "Human evaluation" in of_run and sent["batch"] in of_run and "The gate" in of_run
    assert andon("report", tiny_toml) == andon("report", "sentiment") != andon("report", run)
    assert "no campaign called run-x" in andon("report", "run-x", code=1)["message"]

    blank = Path(andon("sheet", tiny_toml, "--systems", "zero-shot,rl", "--items", 5)["sheet"]).read_text("utf-8-sig")
    assert run not in blank and len(list(csv.DictReader(io.StringIO(blank, newline="")))) == 10
    with (tmp_path / "sheet.csv").open("w", newline="") as file:
        rows = csv.DictWriter(file, ["item", "source", "summary", "accurate", "note"])
        rows.writeheader()
        rows.writerows(
            row | {"accurate": "yes", "note": "fine"} for row in csv.DictReader(io.StringIO(blank, newline=""))
        )
    read = andon("sheet", tiny_toml, tmp_path / "sheet.csv", "--by", "ann")["filled"]
    assert [(e["system"], e["by"], e["accurate"]["value"], e["accurate"]["n"]) for e in read] == [
        (run, "ann", 1.0, 5),
        ("zero-shot", "ann", 1.0, 5),
    ]
    whole = Path(andon("report", "sentiment")["report"]).read_text()
    assert "Accuracy, checked by people" in whole and "Human evaluation" in whole and run in whole
    assert "<script" not in whole and 'src="' not in whole
