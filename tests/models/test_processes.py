"""Two processes with half of every batch each, or with half of the weights too, give what one gives with all of it.

Two updates of PPO: sums differ in their last digit, so sooner or later one token is drawn differently, and from there
on the runs are two samples of the same thing.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

WORK = """
import json, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from data.campaign import load_campaign
from data.campaign.settings import Supervised
from data.errors import Stopped
from data.runs.checkpoints import Checkpoints
from data.store import LocalStore
from models.lm.base import open_base
from models.ppo.train import PolicyHooks, train_policy
from models.reward.model import new_reward_model, train_reward_model
from models.reward.preferences import best_of
from models.supervised.fine_tune import fine_tune
from models.training.hooks import Hooks
from models.training.processes import Processes
from models.training.sharding import DTensor

base, campaign = open_base(sys.argv[1]), load_campaign("sentiment")
draw = torch.Generator().manual_seed(0)
rows = [best_of([5] * (1 + i % 7), torch.randint(100, 400, (4, 8), generator=draw).tolist(), i % 4) for i in range(23)]
model = new_reward_model(base.model, 0)
normal = [best_of(row.query, row.responses[:1], 0) for row in rows]
before = model.normalise(normal)
few = campaign.reward.model_copy(update={"batch": 6, "micro_batch": 2})
saved = Checkpoints(LocalStore(Path(sys.argv[2])), "reward", 2)
looks = 0

def look():
    global looks
    looks += 1
    if looks == 4:
        raise Stopped([])

try:
    train_reward_model(model, rows, few, 0, Hooks(look, checkpoints=saved))
except Stopped:
    model = new_reward_model(base.model, 0)
history = train_reward_model(model, rows, few, 0, Hooks(checkpoints=saved))
assert saved.newest() == 4 and looks == 4
after = model.normalise(normal)

settings = campaign.policy.model_copy(
    update={"episodes": 64, "batch": 32, "micro_batch": 3, "lr": 1e-3, "kl_target": 1.0, "kl_horizon": 100.0}
)
queries = [[5, 9, 300, 7], [8] * 40, [1, 2], [90, 91, 92], [7] * 10, [1], [2, 3, 4], [500, 501], [3] * 20]
updates, parts = [], set()

def show(update, policy, metrics):
    parts.update((p.numel(), p.to_local().numel()) for p in policy.parameters() if isinstance(p, DTensor))

policy = train_policy(
    settings, base.prompts(campaign.text), base.model, model.requires_grad_(False), queries, 0,
    PolicyHooks(log=updates.append, show=show),
)
tuned, losses = fine_tune(
    base.model, [([5, 6, i], [7, 8, i, 9]) for i in range(10)], Supervised(batch=4, lr=1e-3, dropout=0), 0
)
weights = [[float(p.double().sum()), float(p.double().abs().sum())]
           for m in (model, policy, tuned) for p in m.parameters()]
if Processes().is_main:
    print(json.dumps({"count": Processes().count, "parts": sorted(parts), "weights": weights,
                      "normalised": [before, after], "reward": history, "policy": updates, "supervised": losses}))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def outcome(folder: Path, base: Path, config: str | None) -> dict[str, Any]:
    script = folder / "work.py"
    script.write_text(WORK)
    launcher = []
    if config is not None:
        launcher = ["-m", "accelerate.commands.launch", "--config_file", str(ROOT / "deploy" / "accelerate" / config)]
        launcher += ["--main_process_port", str(free_port())]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *launcher, str(script), str(base), str(folder / f"store of {config}")],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.fixture(scope="module")
def alone(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return outcome(tmp_path_factory.mktemp("alone"), tiny_folder, None)


@pytest.mark.slow
@pytest.mark.parametrize("config", ["many-gpus.yaml", "sharded.yaml"])
def test_two_processes_equal_one(config: str, alone: dict[str, Any], tiny_folder: Path, tmp_path: Path) -> None:
    two = outcome(tmp_path, tiny_folder, config)
    assert (alone["count"], two["count"]) == (1, 2)
    in_parts = two["parts"]
    assert (not in_parts) if config == "many-gpus.yaml" else all(2 * part <= size + 1 for size, part in in_parts)
    assert bool(in_parts) == (config == "sharded.yaml") and not alone["parts"]
    for name in alone.keys() - {"count", "parts"}:
        pairs = list(zip(numbers(alone[name]), numbers(two[name]), strict=True))
        assert pairs, name
        for left, right in pairs:
            assert right == pytest.approx(left, abs=1e-4, rel=1e-4), name


def numbers(value: object) -> list[float]:
    if isinstance(value, dict):
        return [number for name in sorted(value) for number in numbers(value[name])]
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [float(str(value))]


@pytest.mark.slow
def test_a_launched_training_that_leaves_stopped_says_so_by_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "leaves.py").write_text("raise SystemExit(3)")
    config = ROOT / "deploy" / "accelerate" / "many-gpus.yaml"
    command = [sys.executable, "-m", "models.training.launch", "--config_file", str(config)]
    command += ["--main_process_port", str(free_port()), "-m", "leaves"]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 3, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
