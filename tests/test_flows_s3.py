"""A round whose store lies in S3, command by command."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from data.promotions import champion
from data.store import open_store
from flows import cli
from tests.test_flows import tiny_toml  # noqa: F401

pytestmark = [pytest.mark.flow, pytest.mark.usefixtures("prefect")]


def test_a_round_runs_in_s3_and_every_command_reads_it(
    s3_uri: str,
    tiny_toml: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def andon(*arguments: object) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["andon", *map(str, arguments), "--store", s3_uri, "--json"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        assert not ended.value.code, err
        result: dict[str, Any] = json.loads(out.splitlines()[-1])
        return result

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
