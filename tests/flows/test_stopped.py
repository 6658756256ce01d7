"""A stopped line in real flows: nothing starts, what runs saves and leaves, and afterwards all is as if nothing was."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client

from data.cord.cord import pull, release
from data.errors import Refused
from data.page.live import latest_live
from data.runs.champion import champion, promote
from data.runs.registry import policy_of
from data.runs.stops import stops
from data.store import LocalStore
from models.lm.base import open_base
from tests.flows.test_flows import outcome
from tests.support.command import Andon
from tests.support.prefect_home import Furnish
from tests.support.team import until

pytestmark = [pytest.mark.flow, pytest.mark.usefixtures("prefect")]
ROOT = Path(__file__).resolve().parents[2]


def last_states() -> list[tuple[str, str | None]]:
    with get_client(sync_client=True) as client:
        runs = sorted(client.read_flow_runs(), key=lambda run: run.created or 0, reverse=True)
    return [(run.state_name or "", run.state.message if run.state else None) for run in runs]


def test_while_pulled_nothing_is_sampled_trained_or_promoted_and_the_rest_goes_on(
    andon: Andon, first_run: str, tiny_toml: Path, tmp_path: Path
) -> None:
    run = first_run
    store = LocalStore(tmp_path / "store")
    assert latest_live(store, "sentiment") is not None, "a training shows what it writes"
    andon("rollback", tiny_toml, "--reason", "to promote it again")
    (sent,) = andon("export", tiny_toml, "--questions", 6)["vendor_files"]
    made = pull(store, "the samples are obscene", by="ann", scope="campaign:sentiment")
    for command in (
        ("export", tiny_toml, "--questions", 8),
        ("retrain", tiny_toml, "--seed", 9),
        ("round", tiny_toml),
        ("promote", tiny_toml, run, "--reason", "I like it"),
    ):
        refused = andon(*command, code=3)["message"]
        assert made.pull in refused and "the samples are obscene" in refused, command
    state, message = last_states()[0]
    assert state == "Stopped" and message is not None and made.pull in message
    assert champion(store, "sentiment") is None
    assert andon("evaluate", tiny_toml, run, "--queries", 8)["pairs"] == 8, "what exists can be looked at"
    assert andon("status")["stopped"][0]["pull"] == made.pull
    andon("release", made.pull, "--reason", "a quotation")
    assert andon("promote", tiny_toml, run, "--reason", "I like it")["changed"]
    of_run = pull(store, "this policy", by="ann", scope=f"run:{run}")
    assert of_run.pull in andon("export", tiny_toml, "--questions", 8, code=3)["message"], "nor from a stopped champion"
    assert andon("rollback", tiny_toml, "--reason", "away from it")["champion"] is None
    assert andon("export", tiny_toml, "--questions", 8)["vendor_files"] != [sent]


@pytest.mark.parametrize("launch", [(), ("--launch", str(ROOT / "deploy" / "accelerate" / "many-gpus.yaml"))])
def test_pulled_in_the_middle_released_and_run_again_it_comes_to_the_same_bytes(
    answered: Path,
    tiny_toml: Path,
    furnish: Furnish,
    launch: tuple[str, ...],
) -> None:
    text = tiny_toml.read_text().replace("reward_steps = 1", "").replace("policy_updates = 1", "")
    tiny_toml.write_text(text.replace("episodes = 64", "episodes = 192"))
    stopped, whole = answered.parent / "stopped", answered.parent / "whole"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    for copy in (stopped, whole):
        shutil.copytree(answered, copy, ignore=shutil.ignore_patterns(".prefect"))
        furnish(copy / ".prefect")

    def retrain(store: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "flows.cli", "retrain", str(tiny_toml), "--store", str(store), *launch]
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=ROOT)

    running, store = retrain(stopped), LocalStore(stopped)
    until("its first update is done", lambda: latest_live(store) or running.poll() is not None)
    assert running.poll() is None, running.communicate()[1]
    made = pull(store, "it only says yes", by="ann")
    _, told = running.communicate()
    assert running.returncode == 3, told
    assert made.pull in told.splitlines()[-1] and "Traceback" not in told
    (run,) = (folder.name for folder in stopped.glob("campaigns/sentiment/runs/*"))
    (entry,) = stops(store, "sentiment", run)
    assert (entry["step"], entry["pulls"]) == ("policy", [made.pull]) and 0 < entry["update"] < 6
    quarantined(store, run, stopped)
    if launch:  # that two processes go on as one would is known; here it is that both of them leave
        return
    release(store, made.pull, by="bob", reason="it was a quotation")
    for each in (stopped, whole):
        again = retrain(each)
        _, told = again.communicate()
        assert again.returncode == 0, told
    assert len(outcome(whole)) > 10 and outcome(stopped) == outcome(whole)
    assert not list(stopped.rglob("state.safetensors"))


def quarantined(store: LocalStore, run: str, folder: Path) -> None:
    """Assert that what a stopped training left can be neither promoted nor sampled from."""
    for use in (promote, policy_of):
        arguments: Any = (store, "sentiment", run, "r") if use is promote else (store, "sentiment", run)
        with pytest.raises(Refused, match="no finished run"):
            use(*arguments)
    checkpoints = list(folder.glob(f"campaigns/sentiment/runs/{run}/policy/checkpoints/*/x*"))
    assert checkpoints
    for checkpoint in checkpoints:
        with pytest.raises(Refused):
            open_base(str(checkpoint))
