"""The flows as teams run them: a real Prefect server, work pools, process workers, and machines that die.

One test is the short form that runs with the flows; `make test-deployments` runs all.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.canonical import sha256_of_file
from data.ingest import inbox
from data.labels.table import deliveries
from data.page.live import latest_live
from data.paths import LEASE_LOG
from data.runs import leases
from data.runs.champion import champion
from data.store import LocalStore, log
from flows.local_server import ROOT, platform
from tests.support import postgresql
from tests.support.prefect_home import Furnish
from tests.support.team import (
    Server,
    export,
    kill,
    kill_machine,
    saved,
    take_in,
    train_through,
    trainers,
    until,
    weights,
    write_campaign,
)

NIGHTLY = "retrain-on-new-labels/retrain_nightly"
EVERY_STEP = {"reward_steps": 1, "policy_updates": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("team")


@pytest.fixture(scope="module")
def campaign_file(tiny_folder: Path, folder: Path) -> Path:
    """A campaign whose training saves its state at every step."""
    return write_campaign(folder / "tiny.toml", tiny_folder, policy={"episodes": 320}, checkpoints=EVERY_STEP)


@pytest.fixture(scope="module")
def sent(campaign_file: Path, folder: Path) -> tuple[Path, str, list[Path]]:
    """The store of the deployments, with a batch; its id, and two files with answers that nobody has delivered."""
    return folder / "store", *export(folder / "store", campaign_file)


@pytest.fixture(scope="module")
def server(folder: Path, sent: tuple[Path, str, list[Path]], furnish: Furnish) -> Iterator[Server]:
    furnish(folder / "prefect")
    with platform(folder / "prefect", str(sent[0])) as running:
        running.environment |= {"ANDON_PRECISION": "fp32", "OMP_NUM_THREADS": "1"}
        running.work("andon-cpu")
        yield Server(running)


@pytest.fixture
def labeled(tmp_path: Path, campaign_file: Path) -> Path:
    """A store of its own whose labels were taken in."""
    _, files = export(tmp_path / "labeled", campaign_file)
    take_in(tmp_path / "labeled", campaign_file, files[0])
    return tmp_path / "labeled"


@pytest.mark.flow
def test_an_event_brings_a_delivery_in_and_the_night_survives_the_death_of_its_machine(
    server: Server, sent: tuple[Path, str, list[Path]], campaign_file: Path
) -> None:
    store, batch, files = sent
    triggered = server.deliver(store, batch, files[0])
    server.completed(triggered)
    (entry,) = deliveries(LocalStore(store), "sentiment")
    assert entry["accepted"] > 0
    taken = server.artifacts(triggered)["labels-sentiment"]["data"]
    assert f"{entry['accepted']} accepted" in taken and batch in taken

    assert any(run["auto_scheduled"] for run in server.runs("retrain_nightly")), "every night has its run"
    through = train_through(store, campaign_file)
    machine = server.running.work("andon-gpu")
    first = server.start(NIGHTLY, launch="", campaign=str(campaign_file), store=str(store))
    until("it has saved", lambda: saved(store, "policy"))
    kill_machine(machine)
    assert server.state(first)["type"] == "RUNNING", "nobody told the server"
    server.running.work("andon-gpu")
    second = server.start(NIGHTLY, launch="", campaign=str(campaign_file), store=str(store))
    server.completed(second)
    assert weights(store) == through and len(through) == 2

    shown = server.artifacts(*(run["id"] for run in server.runs("retrain_nightly")), *_children(server, second))
    assert json.loads(shown["rounds-sentiment"]["data"])[0]["labels"] == entry["accepted"]
    assert "report.html" in shown["report-sentiment"]["data"]
    said = {"logs": {"level": {"ge_": 20}}, "sort": "TIMESTAMP_DESC"}
    until(
        "what a stage says is on the run's page", lambda: "promotion: " in str(server.ask("POST", "/logs/filter", said))
    )
    assert shown["progress-policy"]["data"] == 100 and shown["progress-policy"]["description"] == "policy: 10 of 10"


def _children(server: Server, run: str) -> list[str]:
    """Return the runs of the flows that a flow run called."""
    body = {"flow_runs": {"parent_flow_run_id": {"any_": [run]}}}
    return [each["id"] for each in server.ask("POST", "/flow_runs/filter", body)]


@pytest.mark.deployments
def test_a_scheduled_look_takes_in_what_no_event_told_of(server: Server, sent: tuple[Path, str, list[Path]]) -> None:
    store, batch, files = sent
    inbox.put_in_inbox(LocalStore(store), "sentiment", batch, files[1])
    scheduled = until("runs are scheduled", lambda: [r for r in server.runs("ingest_labels") if r["auto_scheduled"]])[0]
    # The schedule says when; the test lets the first of its runs begin now rather than in ten minutes.
    late = {"state": {"type": "SCHEDULED", "state_details": {"scheduled_time": "2020-01-01T00:00:00Z"}}, "force": True}
    server.ask("POST", f"/flow_runs/{scheduled['id']}/set_state", late)
    server.completed(scheduled["id"])
    assert sha256_of_file(files[1]) in {entry["file_sha256"] for entry in deliveries(LocalStore(store), "sentiment")}


@pytest.mark.deployments
def test_on_postgresql_a_delivery_comes_in_by_its_event_too(tmp_path: Path, campaign_file: Path) -> None:
    store = tmp_path / "store"
    batch, files = export(store, campaign_file)
    with postgresql.running() as database, platform(tmp_path / "prefect", str(store), database) as running:
        running.work("andon-cpu")
        server = Server(running)
        run = server.deliver(store, batch, files[0])
        server.completed(run)
        assert batch in server.artifacts(run)["labels-sentiment"]["data"]
    assert [entry["accepted"] for entry in deliveries(LocalStore(store), "sentiment")] == [12]
    assert not list((tmp_path / "prefect").glob("*.db")), "nothing went into SQLite"


@pytest.mark.deployments
def test_a_nightly_retrain_killed_twice_ends_with_the_weights_of_one_that_ran_through(
    server: Server, labeled: Path, campaign_file: Path
) -> None:
    whole = labeled.with_name("through")
    shutil.copytree(labeled, whole)
    machine = server.running.work("andon-gpu")
    server.completed(server.start(NIGHTLY, campaign=str(campaign_file), store=str(whole)))

    # The machine of a worker dies: the worker, the flow's process and the trainer at once.
    killed = server.start(NIGHTLY, campaign=str(campaign_file), store=str(labeled))
    until("it has saved", lambda: saved(labeled, "reward"))
    kill_machine(machine)
    assert server.state(killed)["type"] == "RUNNING", "nobody told the server"
    assert not trainers(labeled)

    # The next night takes over; its trainer dies.
    server.running.work("andon-gpu")
    second = server.start(NIGHTLY, campaign=str(campaign_file), store=str(labeled))
    until("it has saved", lambda: saved(labeled, "policy"))
    for trainer in trainers(labeled):
        kill(trainer)
    assert server.ended(second)["type"] == "FAILED"

    server.completed(server.start(NIGHTLY, campaign=str(campaign_file), store=str(labeled)))
    assert weights(labeled) == weights(whole) and len(weights(whole)) == 2
    assert len(_takes(labeled)) == 3, "each attempt trained under an epoch of its own"
    server.completed(server.start(NIGHTLY, campaign=str(campaign_file), store=str(labeled)))
    assert len(_takes(labeled)) == 3, "no label is new: nothing was trained"


@pytest.mark.deployments
def test_of_two_retrains_at_once_one_trains_and_a_cancelled_one_saves_and_leaves_nothing_behind(
    server: Server, labeled: Path, folder: Path, tiny_folder: Path
) -> None:
    # It saves only when it is told to leave, and trains for longer than a cancel takes to arrive.
    seldom = {"reward_steps": 10_000, "policy_updates": 10_000}
    file = write_campaign(folder / "long.toml", tiny_folder, policy={"episodes": 32 * 120}, checkpoints=seldom)
    through = train_through(labeled, file, seed=2)
    server.running.work("andon-gpu")
    asked = {"campaign": str(file), "store": str(labeled)}
    runs = [server.start("retrain/retrain", seed=2, **asked) for _ in range(2)]
    loser = until("one gives way", lambda: next((r for r in runs if server.state(r)["type"] == "FAILED"), None))
    assert "is trained by" in server.state(loser)["message"] and "since" in server.state(loser)["message"]
    (winner,) = set(runs) - {loser}

    until("its policy trains", lambda: latest_live(LocalStore(labeled), "sentiment"))
    server.ask("POST", f"/flow_runs/{winner}/set_state", {"state": {"type": "CANCELLING"}, "force": True})
    assert server.ended(winner)["type"] == "CANCELLED"
    until("nothing trains", lambda: not trainers(labeled))
    until("it gave its lease back", lambda: leases.holder(LocalStore(labeled), "sentiment") is None)
    assert saved(labeled, "policy"), "it saved before it left"
    server.completed(server.start("retrain/retrain", seed=2, **asked))
    assert weights(labeled) == through


@pytest.mark.deployments
def test_one_command_brings_a_platform_up_runs_a_round_through_it_and_takes_it_down(
    tmp_path: Path, tiny_folder: Path
) -> None:
    file = write_campaign(tmp_path / "tiny.toml", tiny_folder)
    asked = ["--once", "--store", str(tmp_path / "store"), "--campaign", str(file), "--preset", ""]
    done = subprocess.run(
        [sys.executable, "-m", "flows.local_server", *asked], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert done.returncode == 0, done.stdout
    assert "finished    Completed" in done.stdout and champion(LocalStore(tmp_path / "store"), "sentiment")


def _takes(store: Path) -> list[int]:
    return [entry["number"] for entry in log.entries(LocalStore(store), LEASE_LOG) if entry["kind"] == "take"]
