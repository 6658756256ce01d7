"""Two processes with half of every batch each give what one process gives with all of it.

Two updates of PPO: sums differ in their last digit, so sooner or later one token is drawn differently, and from there
on the runs are two samples of the same thing.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

WORK = """
import json, sys
import torch
torch.set_num_threads(1)
from data.campaign import Supervised, load_campaign
from models import ppo, reward, supervised
from models.base import open_base
from models.preferences import best_of
from models.processes import Processes
from models.tokens import single_token

base, campaign = open_base(sys.argv[1]), load_campaign("sentiment")
draw = torch.Generator().manual_seed(0)
rows = [best_of([5] * (1 + i % 7), torch.randint(100, 400, (4, 8), generator=draw).tolist(), i % 4) for i in range(23)]
model = reward.new_reward_model(base.model, 0)
normal = [best_of(row.query, row.responses[:1], 0) for row in rows]
before = model.normalise(normal)
history = reward.train(model, rows, campaign.reward.model_copy(update={"batch": 6}), 0)
after = model.normalise(normal)

settings = campaign.policy.model_copy(
    update={"episodes": 64, "batch": 32, "micro_batch": 3, "lr": 1e-3, "kl_target": 1.0, "kl_horizon": 100.0}
)
queries = [[5, 9, 300, 7], [8] * 40, [1, 2], [90, 91, 92], [7] * 10, [1], [2, 3, 4], [500, 501], [3] * 20]
updates = []
policy = ppo.train(
    settings, campaign.text, base.model, model.requires_grad_(False), queries,
    stop_token=single_token(base.tokenizer, "."), seed=0, log=updates.append,
)
tuned, losses = supervised.fine_tune(
    base.model, [([5, 6, i], [7, 8, i, 9]) for i in range(10)], Supervised(batch=4, lr=1e-3, dropout=0), 0
)
weights = [[float(p.double().sum()), float(p.double().abs().sum())]
           for m in (model, policy, tuned) for p in m.parameters()]
if Processes().first:
    print(json.dumps({"count": Processes().count, "weights": weights, "normalised": [before, after],
                      "reward": history, "policy": updates, "supervised": losses}))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def outcome(folder: Path, base: Path, processes: int) -> dict[str, object]:
    script = folder / "work.py"
    script.write_text(WORK)
    launcher = [] if processes == 1 else ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1"]
    if processes > 1:
        launcher += ["--num_processes", str(processes), "--main_process_port", str(free_port())]
        launcher += ["--mixed_precision", "no", "--dynamo_backend", "no"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *launcher, str(script), str(base)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_two_processes_equal_one(tiny_folder: Path, tmp_path: Path) -> None:
    one, two = (outcome(tmp_path, tiny_folder, count) for count in (1, 2))
    assert (one.pop("count"), two.pop("count")) == (1, 2)
    for part in one:
        pairs = list(zip(numbers(one[part]), numbers(two[part]), strict=True))
        assert pairs, part
        for left, right in pairs:
            assert right == pytest.approx(left, abs=1e-4, rel=1e-4), part


def numbers(value: object) -> list[float]:
    if isinstance(value, dict):
        return [number for name in sorted(value) for number in numbers(value[name])]
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [float(str(value))]


def test_a_launched_training_that_leaves_stopped_says_so_by_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "leaves.py").write_text("raise SystemExit(3)")
    config = ROOT / "deploy" / "accelerate" / "many-gpus.yaml"
    command = [sys.executable, "-m", "models.launch", "--config_file", str(config)]
    command += ["--main_process_port", str(free_port()), "-m", "leaves"]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 3, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
