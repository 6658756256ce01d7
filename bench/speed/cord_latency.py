"""How long from `andon pull` to a training that has saved its state and left: `make bench-cord`.

PPO on the embedded base, 8 episodes an update, each time in a process of its own. At a random moment of its third
update a person types the command, whose start is part of what they wait for.
"""

import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from bench.arguments import parser
from data.campaign import load_campaign
from data.campaign.queries import load_queries
from data.errors import Stopped
from data.runs.step_facts import PolicyUpdate
from data.runs.stops import stops
from data.store import LocalStore
from models.lm.base import Base, open_base
from models.ppo.train import PolicyHooks, train_policy
from models.training.job import Job, quarantined

TIMES, CAMPAIGN = 20, load_campaign("sentiment", changes={"policy": {"batch": 8}})


def train(job: Job, base: Base, queries: Sequence[list[int]], tell: Connection) -> None:
    """Train until the line is stopped, telling how long each update took."""
    checkpoints = job.checkpoints("policy", CAMPAIGN.checkpoints.policy_updates)
    ended = [time.monotonic()]

    def log(metrics: PolicyUpdate) -> None:
        ended.append(time.monotonic())
        tell.send(ended[-1] - ended[-2])

    try:
        with quarantined(job, "policy", checkpoints):
            train_policy(
                CAMPAIGN.policy,
                base.prompts(CAMPAIGN.text),
                base.model,
                lambda queries, responses: (responses == 13).sum(-1).float(),
                queries,
                job.seed,
                PolicyHooks(look=job.look(), log=log, checkpoints=checkpoints),
            )
    except Stopped:
        sys.exit(3)


def once(number: int, folder: Path, base: Base, queries: Sequence[list[int]]) -> tuple[float, float, float]:
    """Return the seconds of an update, of the command, and from its start to the end of the training."""
    store = LocalStore(folder / str(number))
    store.put_new("campaigns/sentiment/label_sets/x.json", b"{}")
    context = multiprocessing.get_context("fork")
    listen, tell = context.Pipe(duplex=False)
    job = Job(store.uri, CAMPAIGN, "run-1", "x", number)
    process = context.Process(target=train, args=(job, base, queries, tell))
    process.start()
    took = [listen.recv() for _ in range(2)]
    time.sleep(random.Random(number).uniform(0, took[-1]))
    began = time.monotonic()
    command = [sys.executable, "-m", "flows.cli", "pull", "--reason", "a measurement", "--store", store.uri]
    subprocess.run(command, check=True, capture_output=True)
    pulled = time.monotonic() - began
    process.join()
    ended = time.monotonic() - began
    assert process.exitcode == 3 and stops(store, "sentiment", "run-1"), "the training did not leave stopped"
    return took[-1], pulled, ended


def main() -> None:
    torch.set_num_threads(1)
    base = open_base(CAMPAIGN.base, CAMPAIGN.text)
    prompts = base.prompts(CAMPAIGN.text)
    texts = [query.text for query in load_queries(CAMPAIGN.text, "train")[:300]]
    queries = [tokens for text in texts if (tokens := prompts.encode(text))]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ANDON_STATE"] = f"{folder}/state"
        times = []
        for number in range(TIMES):
            times.append(once(number, Path(folder), base, queries))
            print("  update {:.2f} s, command {:.2f} s, stopped after {:.2f} s".format(*times[-1]), flush=True)
    after = [ended - pulled for _, pulled, ended in times]
    columns = [*zip(*times, strict=True), after]
    names = ("one update", "the command andon pull", "from its start to the end", "of that, after its end")
    print(f"{TIMES} pulls, load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for name, seconds in zip(names, columns, strict=True):
        print(f"  {name:<26} p50 {statistics.median(seconds):6.2f} s   max {max(seconds):6.2f} s")


if __name__ == "__main__":
    arguments = parser("bench.speed.cord_latency", __doc__)
    arguments.parse_args()
    main()
