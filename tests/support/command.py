"""The command line as tests run it, in this process, on one store."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.campaign import load_campaign
from data.campaign.campaign import SHIPPED
from data.campaign.queries import Split, load_queries
from flows.cli import main

QUERIES = "queries"  # folder beside the weights of the tiny base
Andon = Callable[..., dict[str, Any]]


def on_store(store: Path | str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Andon:
    """Return what runs a command and gives the JSON object that ends its output, or the line of its refusal."""

    def run(*arguments: object, code: int = 0) -> dict[str, Any]:
        command = ["andon", *map(str, arguments), "--store", str(store)]
        monkeypatch.setattr(sys, "argv", [*command, "--json"])
        with pytest.raises(SystemExit) as ended:
            main.main()
        out, err = capsys.readouterr()
        assert (ended.value.code or 0) == code, err
        if code:
            (line,) = [line for line in err.splitlines() if line.startswith("andon: ")]
            assert "Traceback" not in err
            assert {"refused": line.removeprefix("andon: ")} == json.loads(out.splitlines()[-1])
            return {"message": line}
        result: dict[str, Any] = json.loads(out.splitlines()[-1])
        return result

    return run


def tiny_campaign(base: Path) -> str:
    """Return the sentiment campaign on a tiny base as the text of a user's own file, with sizes of a test.

    Its queries are the few that lie with the base: every step of every run encodes them all.
    """
    text = (SHIPPED / "sentiment.toml").read_text().split("[presets")[0]
    for old, new in {
        'base = "embedded"': f'base = "{base}"',
        "query_tokens = 64": f'queries = "{base / QUERIES}"\nquery_tokens = 64',
        "questions = 5000": "questions = 24",
        "normalisation_samples = 256": "normalisation_samples = 64",
        "queries = 512": "queries = 24",
        "win_rate_above = 0.5": "win_rate_above = 0.0",
    }.items():
        assert old in text, old
        text = text.replace(old, new)
    lines = ["episodes = 64" if line.startswith("episodes") else line for line in text.splitlines()]
    return "\n".join(lines).replace("batch = 128", "batch = 32")


def write_queries(base: Path, train: int = 400, test: int = 100) -> None:
    """Write some of the embedded queries to where the tiny campaign has its own."""
    text = load_campaign("sentiment").text
    (base / QUERIES).mkdir()
    counts: dict[Split, int] = {"train": train, "test": test}
    for split, count in counts.items():
        rows = [{"query_id": query.query_id, "text": query.text} for query in load_queries(text, split)[:count]]
        pq.write_table(pa.Table.from_pylist(rows), base / QUERIES / f"{split}.parquet")


def files_of(store: Path) -> dict[str, float]:
    """Return when each file of a store was written."""
    return {str(p): p.stat().st_mtime for p in store.rglob("*") if p.is_file() and ".prefect" not in p.parts}
