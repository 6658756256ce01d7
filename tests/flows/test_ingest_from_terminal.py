"""A person who takes a file in by hand waits for no server; where there is one, it is shown the flow run."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from data.ingest.pipeline import IngestResult
from data.store import LocalStore
from flows import ingest_labels
from flows.cli import ingest
from tests.support.bad_files import KEY, VENDOR, as_parquet, rows
from tests.support.vendor import publish_batch

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_without_a_server_of_the_users_none_is_started(tmp_path: Path) -> None:
    store, file = tmp_path / "store", as_parquet(rows(), tmp_path / "answers.parquet")
    publish_batch(LocalStore(store), "sentiment", "b1", VENDOR, KEY)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    command = [sys.executable, "-m", "flows.cli", "ingest", "sentiment", str(file), "--store", str(store)]
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True)
    assert done.returncode == 0 and "200 accepted" in done.stdout, done.stderr
    assert not list((store / ".prefect").glob("*.db")), "Prefect's server keeps its database there"


def test_with_a_server_it_is_a_flow_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, outcome = list[tuple[Any, ...]](), IngestResult("b1", 0, 0, 0, {})

    def as_a_flow(*given: Any) -> IngestResult:
        asked.append(given)
        return outcome

    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setattr(ingest, "prepare", lambda store: None)
    monkeypatch.setattr(ingest_labels, "ingest_labels", as_a_flow)
    assert ingest.ingest_from_terminal("sentiment", str(tmp_path), tmp_path / "answers.csv", "why") is outcome
    assert asked == [("sentiment", str(tmp_path), tmp_path / "answers.csv", "why")]
