"""The built wheel in a clean environment, in a repository that has packages with the names of Andon's own."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from flows.local_server import platform
from tests.support.command import tiny_campaign
from tests.support.team import Server

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("andon", "base", "bench", "campaigns", "data", "deploy", "flows", "models", "tasks", "tests", "web")


class Repository:
    """Somebody's own folder, and Andon as they installed it."""

    def __init__(self, folder: Path, bin_: Path, pythonpath: str | None) -> None:
        self.folder, self.bin = folder, bin_
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PYTHON"))}
        self.environment = kept | {"OMP_NUM_THREADS": "1"} | ({"PYTHONPATH": pythonpath} if pythonpath else {})

    def run(self, *command: str | Path) -> str:
        """Run a program of the environment here, and return its standard output."""
        words = [str(self.bin / command[0]), *map(str, command[1:])]
        done = subprocess.run(words, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        assert "Traceback" not in done.stderr
        return done.stdout

    def andon(self, *arguments: str | Path) -> dict[str, Any]:
        """Run a command of Andon's here, and return the JSON object that ends its output."""
        result: dict[str, Any] = json.loads(self.run("andon", *arguments, "--json").splitlines()[-1])
        return result


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with Andon's wheel, beside the dependencies that the tests have."""
    folder = tmp_path_factory.mktemp("installed")
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(ROOT)]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", symlinks=True)
    python = folder / "env" / "bin" / "python"
    subprocess.run([*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)], check=True)
    (packages,) = (folder / "env").glob("lib/python*/site-packages")
    shared = [entry for entry in sys.path if Path(entry).name == "site-packages"]
    (packages / "dependencies.pth").write_text("\n".join(shared))
    return python.parent


def make_traps(folder: Path) -> Path:
    """Make a folder whose packages of Andon's names each end the process that imports them."""
    for name in NAMES:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f"raise SystemExit('the {name} of this folder was imported')")
    return folder


@pytest.fixture
def repository(tmp_path: Path, installed: Path, tiny_folder: Path, request: pytest.FixtureRequest) -> Repository:
    folder = make_traps(tmp_path / "repository")
    (folder / "tiny.toml").write_text(tiny_campaign(tiny_folder).replace("episodes = 64", "episodes = 32"))
    return Repository(folder, installed, request.param)


@pytest.mark.parametrize(
    ("repository", "config"),
    [
        pytest.param(".", "one-gpu.yaml", marks=pytest.mark.flow),
        pytest.param(None, "many-gpus.yaml", marks=pytest.mark.deployments),
    ],
    ids=["on PYTHONPATH", "in the current folder"],
    indirect=["repository"],
)
def test_a_round_goes_through_all_processes_of_andons_own(repository: Repository, config: str) -> None:
    andon = repository.andon
    (file,) = andon("export", "tiny.toml", "--questions", "24")["vendor_files"]
    questions = pq.read_table(file).select(["question_id", "content_sha256"])
    answers = questions.append_column("labeler_id", [["me"] * len(questions)])
    answers = answers.append_column("best", [[number % 4 for number in range(len(questions))]])
    pq.write_table(answers, repository.folder / "answers.parquet")

    assert andon("ingest", "tiny.toml", "answers.parquet")["accepted"] == len(questions), "read by a child process"
    assert andon("label", "tiny.toml", "--collect")["answers"] == 0
    run = andon("retrain", "tiny.toml", "--launch", ROOT / "deploy" / "accelerate" / config)["run"]
    (shown,) = andon("status")["campaigns"]
    assert shown["runs"] == [run]
    assert "retrain" in repository.run("python", "-P", "-m", "andon_launcher", "flows.cli", "--help")
    assert not list(repository.folder.rglob("*.pyc")), "nothing of the folder was imported"


@pytest.mark.deployments
def test_a_worker_runs_andons_own_flows(tmp_path: Path, tiny_toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    traps = make_traps(tmp_path / "repository")
    monkeypatch.chdir(traps)
    store = tmp_path / "store"
    with platform(tmp_path / "prefect", str(store)) as running:
        running.environment["PYTHONPATH"] = str(traps)
        running.work("andon-gpu")
        server = Server(running)
        server.completed(
            server.start("export-batch/export_batch", launch="", campaign=str(tiny_toml), store=str(store), questions=4)
        )
    assert list(store.glob("campaigns/sentiment/batches/*/manifest.json"))
    assert not list(traps.rglob("*.pyc")), "nothing of the folder was imported"
