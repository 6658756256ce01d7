"""The session "Your own data" of README on a tiny base: its files, its settings and its five commands."""

import re
import shlex
import tomllib
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from data.campaign.queries import Split, load_queries
from data.campaign.settings import TextFormat
from flows.cli.rounds import RunResult, run_lines
from tests.support.command import Andon
from tests.support.shown_commands import ROOT, markdown_blocks

README = (ROOT / "README.md").read_text("utf-8")
SIZES = {
    "normalisation_samples = 256": "normalisation_samples = 64",
    "episodes = 4096": "episodes = 64",
    "batch = 128": "batch = 32",
    "queries = 512": "queries = 24",
}


def own_campaign(base: Path) -> str:
    """Return the copy of places.toml with the lines that README says to change, and the sizes of a test."""
    text = (ROOT / "docs/by-hand/places.toml").read_text()
    (lines,) = (lines for language, lines in markdown_blocks(README) if language == "toml")
    for name in ("name", "base", "instructions"):
        (line,) = (line for line in lines if line.startswith(f"{name} = "))
        text, count = re.subn(rf"^{name} = .*$", line, text, flags=re.M)
        assert count == 1
    (queries,) = (line for line in lines if line.startswith("queries = "))
    text = text.replace("[text]\n", f"[text]\n{queries}\n").replace('base = "embedded"', f'base = "{base}"')
    for old, new in SIZES.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def test_the_demo_prints_the_lines_that_readme_shows() -> None:
    result: RunResult = {
        "run": "run-x605ef17af441416",
        "policy": "andon-demo/campaigns/sentiment/runs/run-x605ef17af441416/policy/xb6e5c3ae4de52f7",
        "report": "andon-demo/campaigns/sentiment/runs/run-x605ef17af441416/xb186508ed85544d/report.html",
        "store": "andon-demo",
        "label_set": "",
        "labels": 1600,
        "reward_accuracy": 0.435,
        "reward_accuracy_ci": [0.353, 0.521],
        "reward_accuracy_chance": 0.25,
        "kl_nats_per_seq": 22.98,
        "champion": True,
        "win_rate": 0.898,
        "win_rate_ci": [0.869, 0.922],
    }
    (shown,) = (lines for language, lines in markdown_blocks(README) if language == "" and "andon-demo" in lines[0])
    assert shown[0].split() == ["store", "andon-demo"]
    assert shown[1 : shown.index("")] == run_lines(result)


@pytest.mark.flow
def test_the_five_commands_on_texts_of_ones_own(
    andon: Andon, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes.toml").write_text(own_campaign(tiny_folder))
    settings = tomllib.loads((tmp_path / "recipes.toml").read_text())
    (tmp_path / settings["text"]["queries"]).mkdir()
    splits: tuple[tuple[Split, int], ...] = (("train", 60), ("test", 40))
    for split, count in splits:
        texts = [
            query.text for query in load_queries(TextFormat(**(settings["text"] | {"queries": "embedded"})), split)
        ]
        (tmp_path / "my-texts" / f"{split}.txt").write_text("\n\n".join(texts[:: len(texts) // count]))

    (session,) = (lines for language, lines in markdown_blocks(README) if language == "sh")
    commands = [shlex.split(line, comments=True)[1:] for line in session if line.startswith("andon ")]
    assert [command[0] for command in commands] == ["export", "ingest", "retrain", "status", "report"]
    export, ingest, retrain, status, report = commands
    assert export[2:] == ["--questions", "1000"]

    (file,) = andon(*export[:3], 20)["vendor_files"]
    questions = pq.read_table(file)
    assert set(questions["instructions"].to_pylist()) == {settings["instructions"]}
    columns = questions.select(["question_id", "content_sha256"])
    answers = columns.append_column("labeler_id", [["me"] * 20]).append_column("best", [[1] * 20])
    pyarrow.csv.write_csv(answers, tmp_path / ingest[2])
    assert andon(*ingest)["accepted"] == 20
    assert andon(*retrain)["labels"] == 20
    (campaign,) = andon(*status)["campaigns"]
    assert campaign["campaign"] == "recipes" and len(campaign["rounds"]) == 1
    assert Path(andon(*report)["report"]).read_text().startswith("<!doctype html>")
