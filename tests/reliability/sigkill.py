"""Real processes that write to one store and are killed: what they said was done must be there, and whole.

`python -m tests.reliability.sigkill folder|s3 ROUNDS WRITERS` lets so many processes work on one store, kills each at a
random moment after a random number of its writes, and starts another in its place. After every round it reads
everything. A round ends after a number of kills, so a slow machine takes longer and finds the same. The processes are
forked, because imports take long.
"""

import itertools
import os
import random
import select
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from data.canonical import Document
from data.cord import cord
from data.errors import Refused
from data.store import Store, log, open_store
from data.store.integrity import verify
from data.store.manifest import publish, read_manifest
from tests.support import seaweed

LOG = "campaigns/c/labels/log"
KILLS = 12  # of a round, while all writers work; those that are left when it ends come on top
MOST_WRITES = 24  # acknowledged by a writer before it is killed
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Outcome(NamedTuple):
    """What was done, and what was lost."""

    rounds: int
    kills: int
    acknowledged: int
    violations: list[str]


def write(store: Store, writer: int, acknowledge: int) -> None:
    """Publish, append and pull until killed; each is written to the pipe when it is done.

    All writers go through the same numbered deliveries, as when one file arrives at several workers.
    """
    for number in itertools.count():
        delivery = f"delivery-{number}"
        run = f"campaigns/c/runs/r{writer}-{number}"
        content = f"{writer} {number} ".encode() * 5_000
        publish(store, run, "run", {"model.bin": content, "b/c.bin": b"x"}, inputs={}, facts={"n": number}, began=NOW)
        os.write(acknowledge, f"run {run}\n".encode())

        def commit(so_far: list[Document], delivery: str = delivery) -> Document | None:
            known = any(entry["file_sha256"] == delivery for entry in so_far)
            return None if known else {"file_sha256": delivery, "writer": writer}

        log.append(store, LOG, commit)
        os.write(acknowledge, f"label {delivery}\n".encode())
        if number % 3 == 0:
            made = cord.pull(store, f"{writer} {number}", by="ann")
            os.write(acknowledge, f"pull {made.pull}\n".encode())


@dataclass
class Writer:
    """A process that writes, and when it is killed: a moment after it has acknowledged so many writes."""

    acknowledged: int  # read end of the pipe that it writes to
    writes: int
    moment: float  # seconds
    seen: int = 0  # acknowledgements that were read


def rounds(uri: str, count: int, writers: int, seed: int = 0) -> Outcome:
    """Kill writers over and over, and look after every round."""
    draw, kills, violations = random.Random(seed), 0, list[str]()
    acknowledged: list[str] = []
    for _ in range(count):
        running = dict(_fork(uri, writer, draw) for writer in range(writers))
        for _ in range(KILLS):
            pid, lines = _next_to_die(running)
            time.sleep(running[pid].moment)
            acknowledged += lines + _kill(pid, running.pop(pid))
            running |= [_fork(uri, draw.randrange(writers, 1_000_000), draw)]
        for pid, writer in running.items():
            acknowledged += _kill(pid, writer)
        kills += KILLS + writers
        violations += look(open_store(uri), acknowledged)
    return Outcome(count, kills, len(acknowledged), violations)


def look(store: Store, acknowledged: Sequence[str]) -> list[str]:
    """Read the whole store, and name what is lost, damaged or there twice."""
    try:
        wrong = verify(store).damaged
        deliveries = [entry["file_sha256"] for entry in log.entries(store, LOG)]
        pulled = {each.pull.pull for each in cord.pulls(store)}
    except Refused as refusal:
        return [str(refusal)]
    wrong += [f"{name} was taken in twice" for name in {n for n in deliveries if deliveries.count(n) > 1}]
    for line in acknowledged:
        kind, name = line.split()
        there = {"label": name in deliveries, "pull": name in pulled}.get(kind)
        if there is None:
            there = read_manifest(store, name) is not None
        wrong += [] if there else [f"lost: {line}"]
    return wrong


def _fork(uri: str, writer: int, draw: random.Random) -> tuple[int, Writer]:
    reader, acknowledge = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            write(open_store(uri), writer, acknowledge)
        finally:
            os._exit(1)
    os.close(acknowledge)
    return pid, Writer(reader, draw.randrange(MOST_WRITES), draw.uniform(0, 0.05))


def _next_to_die(running: dict[int, Writer]) -> tuple[int, list[str]]:
    """Wait until one of the writers has acknowledged as many writes as it may; return it and all that was read."""
    lines: list[str] = []
    while True:
        for pid, writer in running.items():
            if writer.seen >= writer.writes:
                return pid, lines
        ready, _, _ = select.select([writer.acknowledged for writer in running.values()], [], [])
        for pid, writer in running.items():
            if writer.acknowledged in ready:
                read = os.read(writer.acknowledged, 1 << 16).decode()  # whole lines: each is written at once
                if not read:
                    raise RuntimeError(f"writer {pid} ended before it was killed")
                lines += read.splitlines()
                writer.seen += read.count("\n")


def _kill(pid: int, writer: Writer) -> list[str]:
    """Kill a writer, and return what it acknowledged and nobody has read yet."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with os.fdopen(writer.acknowledged) as said:
        return [line.strip() for line in said if line.endswith("\n")]


def main() -> None:
    place, count, writers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as opened:
        folder = Path(temporary)
        environment, uri = {"ANDON_STATE": str(folder / "state")}, str(folder / "store")
        if place == "s3":
            server = opened.enter_context(seaweed.running(folder / "server"))
            environment, uri = environment | server.environment, f"s3://{seaweed.BUCKET}/kills"
        else:
            Path(uri).mkdir()
        opened.enter_context(patch.dict("os.environ", environment))
        outcome = rounds(uri, count, writers)
    sys.stdout.write(
        f"SIGKILL, {place}: {outcome.rounds} rounds, {outcome.kills} kills, {outcome.acknowledged:,} acknowledged, "
        f"{len(outcome.violations)} violations ({time.monotonic() - began:.0f} s)\n"
    )
    sys.stdout.writelines(f"  {line}\n" for line in outcome.violations[:20])
    sys.exit(bool(outcome.violations))


if __name__ == "__main__":
    main()
