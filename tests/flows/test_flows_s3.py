"""A round whose store lies in S3, command by command."""

from pathlib import Path

import pytest

from data.runs.champion import champion
from data.store import open_store
from tests.support.command import on_store

pytestmark = [pytest.mark.flow, pytest.mark.usefixtures("prefect")]


def test_a_round_runs_in_s3_and_every_command_reads_it(
    s3_uri: str,
    tiny_toml: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    andon = on_store(s3_uri, monkeypatch, capsys)
    monkeypatch.chdir(tmp_path)
    done, store = andon("round", tiny_toml), open_store(s3_uri)
    assert done["labels"] == 24 and done["champion"] and champion(store, "sentiment") == done["run"]
    for name in ("policy", "report"):
        assert done[name].startswith(f"{s3_uri}/campaigns/sentiment/runs/{done['run']}/")
    for report in (done["report"], andon("report", done["run"])["report"]):
        assert store.read(report.removeprefix(f"{s3_uri}/")).startswith(b"<!doctype html>")

    sent = andon("export", tiny_toml, "--format", "label-studio", "--vendor", "acme")
    assert all(file.startswith(s3_uri) for file in sent["vendor_files"])
    assert len(sent["links"]) == len(sent["vendor_files"]) == 3
    assert sent["upload"]["key"].startswith(f"campaigns/sentiment/inbox/{sent['batch']}/acme-")
    turns = andon("status")["campaigns"][0]["rounds"]
    assert [turn["run"] for turn in turns] == [done["run"], None]
    assert {node["kind"] for node in andon("explain", "champion")["made_from"]} >= {"run", "label set", "batch"}
    assert andon("dataset", tiny_toml, "trl", tmp_path / "pairs.jsonl")["labels"] == 24
    assert andon("evaluate", tiny_toml, done["run"], "--queries", 12)["pairs"] == 12
    assert andon("rollback", tiny_toml, "--reason", "a test")["champion"] is None
    assert andon("doctor", "--verify")["wrong"] == 0
    assert not (tmp_path / "s3:").exists() and not (tmp_path / "andon-store").exists()
