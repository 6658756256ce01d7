"""Commands on a store of an older commit, a further round on it, and a run of it built again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.lm import prompts
from tests.support.command import Andon, on_store
from tests.support.old_store import CAMPAIGN, unpacked

# As tests/fixtures/make_store_f4abd29.py trained: kernels that every x86 processor has give the same bits anywhere.
PORTABLE = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE", "DNNL_MAX_CPU_ISA": "SSE41"}

# The base of this store has random weights and writes parts of characters. Responses with such parts were valid then.
AS_THEN = "from models.lm import prompts; prompts.BROKEN = chr(0); from flows.cli.main import main; main()"


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Andon:
    return on_store(unpacked(tmp_path, monkeypatch), monkeypatch, capsys)


@pytest.mark.slow
def test_commands_read_it(old: Andon) -> None:
    (shown,) = old("status")["campaigns"]
    assert shown["labels"] == 68 and len(shown["runs"]) == 2 and len(shown["batches"]) == 3
    assert [turn["run"] for turn in shown["rounds"]][:2] == shown["runs"]
    assert {node["kind"] for node in old("explain", shown["champion"])["made_from"]} >= {"batch", "label set", "base"}
    for wanted in (shown["champion"], CAMPAIGN):
        assert Path(old("report", wanted)["report"]).is_file()
    assert old("quality", "tiny.toml")["decision"] == "accept"
    assert [pull["by"] for pull in old("cord")["pulls"]] == ["ada"]
    assert old("doctor", "--verify")


@pytest.mark.flow
@pytest.mark.usefixtures("prefect")
def test_a_further_round_on_it_trains_on_its_labels(old: Andon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "BROKEN", chr(0))  # or this base would have too few valid responses today
    before = old("status")["campaigns"][0]
    made = old("round", "tiny.toml")
    assert made["run"] not in before["runs"] and made["labels"] == 68 + 24, "and what simulated labelers answer now"
    after = old("status")["campaigns"][0]
    assert set(before["batches"]) < set(after["batches"])
    assert [turn["run"] for turn in after["rounds"]] == [*before["runs"], made["run"]]


@pytest.mark.flow
def test_a_run_of_it_built_again_has_the_same_bits(old: Andon) -> None:
    run = old("status")["campaigns"][0]["champion"]
    command = [sys.executable, "-c", AS_THEN, "rebuild", run, "--store", "store"]
    env = os.environ | PORTABLE | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, env=env, text=True, capture_output=True)
    assert ended.returncode == 0 and "bit by bit" in ended.stdout, ended.stdout + ended.stderr
