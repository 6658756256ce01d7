"""A command that is ended releases what it held, leaves no process behind, and can be continued later."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from data.labels.table import deliveries
from data.page.accounts import add
from data.page.answers import questions, save
from data.runs.leases import holder
from data.store import LocalStore
from tests.support.labeling import prepared, simple
from tests.support.prefect_home import Furnish

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}


def started(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Run a command of ours in a folder, as the first of a group of its own, as a terminal does."""
    environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "flows.cli", *arguments]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which a shell's background jobs ignore
    )


def lines(running: "subprocess.Popen[str]", until: str) -> Iterator[str]:
    assert running.stderr is not None
    for line in running.stderr:
        yield line
        if until in line:
            return


def alone(group: int) -> bool:
    """Whether nothing is left of a group of processes."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def processes(session: int) -> list[psutil.Process]:
    """The processes of a session that still run."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


@pytest.mark.flow
def test_a_command_that_is_killed_leaves_no_process_behind(tiny_toml: Path, tmp_path: Path) -> None:
    with started(tmp_path, "export", str(tiny_toml), "--store", "here") as running:
        assert running.stderr is not None
        assert running.stderr.readline(), "the flow has started, on a server of its own"
        children = [process for process in processes(running.pid) if process.pid != running.pid]
        assert any("uvicorn" in " ".join(child.cmdline()) for child in children)
        running.kill()
        psutil.wait_procs(children, timeout=600)
        assert [child.pid for child in processes(running.pid)] == []


PARENT = """
import subprocess
from andon_launcher import command
print(subprocess.Popen(command("http.server", "0", "--bind", "127.0.0.1"), stderr=subprocess.DEVNULL).pid, flush=True)
input()
"""


def test_a_child_ends_when_its_parent_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        child.wait(timeout=600)  # raises TimeoutExpired if the child still runs


@pytest.mark.flow
@pytest.mark.parametrize("sent, to_all", [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_a_round_that_is_interrupted_ends_at_once_and_goes_on_later(
    tiny_toml: Path,
    tmp_path: Path,
    furnish: Furnish,
    sent: signal.Signals,
    to_all: bool,
) -> None:
    furnish(tmp_path / "here" / ".prefect")
    command = ("round", str(tiny_toml), "--store", "here")  # relative: a training's child must find it too
    with started(tmp_path, *command) as running:
        told = list(lines(running, until="policy: PPO"))
        assert "policy: PPO" in told[-1], told
        (os.killpg if to_all else os.kill)(running.pid, sent)
        assert running.stderr is not None
        rest = running.stderr.read()
        assert running.wait() == 128 + sent
    assert "andon: interrupted; what was published stays" in rest and "Traceback" not in rest
    assert alone(running.pid), "its server would go on without it"
    store = LocalStore(tmp_path / "here")
    training = holder(store, "sentiment")
    assert training is None, "the lease is given back"
    with started(tmp_path, *command) as again:
        assert again.stderr is not None
        rest = again.stderr.read()
        assert again.wait() == 0, rest
    assert "reward model: published" in rest


DEAF = """
import os, signal, sys, threading
from flows.cli.environment import prepare
prepare(sys.argv[1])
from prefect import flow
from flows import cancellation
cancellation.EXIT_TIMEOUT_S = 0.1

class Finalizer:
    def __del__(self):  # what is raised in here is dropped
        os.kill(os.getpid(), signal.SIGTERM)
        sum(range(1000))

@flow
@cancellation.stoppable
def deaf():
    Finalizer()
    threading.Event().wait()

deaf()
"""


@pytest.mark.flow
def test_a_flow_whose_request_to_end_was_lost_ends_all_the_same(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DEAF, str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert ended.returncode == 128 + signal.SIGTERM and "andon: interrupted" in ended.stderr, ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_what_was_answered_is_taken_in_when_the_page_is_ended(tmp_path: Path, sent: signal.Signals) -> None:
    store = LocalStore(tmp_path / "store")
    batch = prepared(store, simple(3))
    add(store, "ann", ["label"], 1)
    with started(tmp_path, "label", "sentiment", "--store", "store") as page:
        assert "Ctrl-C stops the page" in list(lines(page, until="Ctrl-C stops the page"))[-1]
        first = next(iter(questions(batch).values()))
        said = {
            "question_id": first.question_id,
            "content_sha256": first.content_sha256,
            "labeler_id": "ann",
            "best": 1,
        }
        assert save(store, "sentiment", "b1", 1, said | {"answered_at": datetime.now(UTC).isoformat()}) is None
        page.send_signal(sent)
        assert page.wait() == 0
    assert [entry["accepted"] for entry in deliveries(store, "sentiment")] == [1]
