"""How long from a pull to a training that has saved its state and left: `make bench-cord`.

PPO on the embedded base at the sentiment campaign's sizes (128 episodes an update), each time in a fresh process; the
cord is pulled at a random moment of its third update or later. Also the same through the command `andon pull`, whose
start is part of what a person waits for.
"""

import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from data.campaign import load_campaign
from data.cord import Stopped, pull
from data.store import LocalStore, open_store
from data.watch import stops
from models import ppo
from models.base import open_base
from models.job import Job, quarantined
from models.steps import query_tokens
from models.tokens import single_token

TIMES, CAMPAIGN = 20, load_campaign("sentiment")


def train(job: Job, tell: Connection) -> None:
    """Train until the line is stopped, telling how long each update took."""
    torch.set_num_threads(1)
    base, text = open_base(CAMPAIGN.base, CAMPAIGN.text.positions), CAMPAIGN.text
    checkpoints = job.checkpoints("policy", CAMPAIGN.checkpoints.policy_updates)
    ended = [time.monotonic()]

    def log(metrics: ppo.Metrics) -> None:
        ended.append(time.monotonic())
        tell.send(ended[-1] - ended[-2])

    try:
        with quarantined(job, "policy", checkpoints):
            ppo.train(
                CAMPAIGN.policy,
                text,
                base.model,
                lambda queries, responses: (responses == 13).sum(-1).float(),
                query_tokens(CAMPAIGN, base, "train")[:1000],
                stop_token=single_token(base.tokenizer, text.truncate_at),
                seed=job.seed,
                log=log,
                checkpoints=checkpoints,
                look=job.look(),
            )
    except Stopped:
        sys.exit(3)


def once(number: int, folder: Path, by_command: bool) -> tuple[float, float, float]:
    """Return the seconds of an update, of the pull itself, and from its beginning to the end of the training."""
    store = LocalStore(folder / str(number))
    store.put_new("campaigns/sentiment/label_sets/x.json", b"{}")
    job = Job(store.uri, CAMPAIGN, "run-1", "x", number)
    context = multiprocessing.get_context("fork")
    listen, tell = context.Pipe(duplex=False)
    process = context.Process(target=train, args=(job, tell))
    process.start()
    took = [listen.recv() for _ in range(2)]
    time.sleep(random.Random(number).uniform(0, took[-1]))
    began = time.monotonic()
    if by_command:
        command = [sys.executable, "-m", "flows.cli", "pull", "--reason", "bench", "--store", store.uri]
        subprocess.run(command, check=True, capture_output=True)
    else:
        pull(open_store(store.uri), "bench", by="bench")
    pulled = time.monotonic() - began
    process.join()
    ended = time.monotonic() - began
    assert process.exitcode == 3 and stops(store, "sentiment", "run-1"), "the training did not leave stopped"
    return took[-1], pulled, ended


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ANDON_STATE"] = f"{folder}/state"
        for by_command in (False, True):
            found = [once(number, Path(folder) / str(by_command), by_command) for number in range(TIMES)]
            update, pulled, ended = (sorted(column) for column in zip(*found, strict=True))
            print("by the command andon pull" if by_command else "by data.cord.pull", f"({TIMES} times)")
            print(f"  one update          p50 {statistics.median(update):6.2f} s   max {update[-1]:6.2f} s")
            print(f"  pull, to its return p50 {statistics.median(pulled):6.2f} s   max {pulled[-1]:6.2f} s")
            print(f"  training has left   p50 {statistics.median(ended):6.2f} s   max {ended[-1]:6.2f} s", flush=True)


if __name__ == "__main__":
    main()
