"""Fifty labelers at once on the labeling page, over loopback, and a kill -9 of the server in the middle.

    make bench-page        (python -m bench.speed.page [LABELERS] [QUESTIONS]; ends by itself within ten minutes)

Labelers answer as fast as the page lets them in the long run (60 a minute each), and ask again where they heard
nothing, as the page does. Counted is what lies in the store and what came through ingest; times are of the whole
request as a labeler's machine sees it, the seconds around the kill apart.
"""

import asyncio
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from bench.arguments import parser
from data.batches.schema import blind, write_parts, write_table
from data.ingest.pipeline import ingest
from data.page.accounts import add
from data.page.answers import collect, saved
from data.simulation.faulty_vendor import make_questions
from data.store import LocalStore
from data.store.manifest import publish

LONGEST = 540.0  # seconds


class Tally:
    """What the labelers saw."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.acknowledged: dict[str, tuple[str, object]] = {}
        self.conflicts = self.repeats = self.lost_connections = 0
        self.killed_at = float("inf")
        self.back_at = float("inf")


def prepare(store: LocalStore, questions: int, folder: Path) -> None:
    """Publish a batch of invented questions."""
    vendor, key = blind(make_questions(questions, 1, gold=0)[0], "Choose the best.", os.urandom(32))
    write_table(key, folder / "key.parquet")
    files: dict[str, Path | bytes] = dict(write_parts(vendor, folder))
    files["key/samples.parquet"] = folder / "key.parquet"
    facts = {"batch": "b1", "round": 1, "questions": len(key), "samples": 4, "vocabulary": "none"}
    prefix = "campaigns/sentiment/batches/b1"
    publish(store, prefix, "batch", files, inputs={}, facts=facts, began=datetime.now(UTC))


def start(store: LocalStore, port: int) -> subprocess.Popen[bytes]:
    """Start the page, its output away: it is killed, not ended, so nothing is collected behind our back."""
    code = (
        "import sys; from data.store import open_store; from data.batches.index import batches; "
        "from web.desk import Desk; from web.desks import Desks; from web.serve import check_address, serve; "
        "s = open_store(sys.argv[1]); address = check_address('127.0.0.1', int(sys.argv[2]), None); "
        "serve(s, Desks(Desk(s, 'sentiment', batches(s, 'sentiment')[-1])), address)"
    )
    return subprocess.Popen([sys.executable, "-c", code, store.uri, str(port)], stderr=subprocess.DEVNULL)


async def labeler(name: str, token: str, url: str, tally: Tally, until: float) -> None:
    """Answer until nothing is left."""
    draw = random.Random(name)
    async with httpx.AsyncClient(base_url=url, timeout=15, headers={"origin": url}) as client:
        (await client.post("/session", json={"token": token})).raise_for_status()
        csrf = (await client.get("/")).text.split('name="csrf" content="')[1].split('"')[0]
        asked = await patiently(client, "GET", "/question", tally, until)
        while asked["question"] is not None and time.monotonic() < until:
            began = time.monotonic()
            question = asked["question"]
            choice = draw.choice(question["options"])["choice"]
            body = {
                "question_id": question["question_id"],
                "ticket": question["ticket"],
                "version": 1,
                "choice": choice,
            }
            body["seconds"] = 1.0
            asked = await patiently(client, "POST", "/answer", tally, until, json=body, headers={"x-csrf": csrf})
            if asked.get("saved"):
                tally.acknowledged[question["question_id"]] = name, choice
            else:
                tally.conflicts += 1
            await asyncio.sleep(max(0.0, draw.uniform(0.8, 1.2) - (time.monotonic() - began)))


async def patiently(
    client: httpx.AsyncClient, method: str, path: str, tally: Tally, until: float, **sent: Any
) -> dict[str, Any]:
    """Ask until there is an answer, as the page does."""
    while True:
        began = time.monotonic()
        try:
            answer = await client.request(method, path, **sent)
        except httpx.TransportError:
            tally.lost_connections += 1
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.5)
            continue
        if not tally.killed_at < began < tally.back_at + 2 and method == "POST":
            tally.seconds.append(time.monotonic() - began)
        if answer.status_code == 429:
            tally.repeats += 1
            await asyncio.sleep(float(answer.headers["retry-after"]))
        elif answer.status_code in (200, 409):
            content: dict[str, Any] = answer.json()
            return content
        else:
            raise RuntimeError(f"{path}: {answer.status_code} {answer.text[:200]}")


async def reachable(url: str) -> None:
    async with httpx.AsyncClient(timeout=5) as client:
        for _ in range(600):
            try:
                await client.get(url)
                return
            except httpx.TransportError:
                await asyncio.sleep(0.05)
    raise RuntimeError("the page does not start")


async def run(people: int, questions: int, folder: Path) -> dict[str, Any]:
    store, tally = LocalStore(folder / "store"), Tally()
    prepare(store, questions, folder)
    tokens = {f"labeler-{n}": add(store, f"labeler-{n}") for n in range(people)}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    server = start(store, port)
    try:
        await reachable(url)
        began = time.monotonic()
        at_work = [asyncio.create_task(labeler(n, t, url, tally, began + LONGEST)) for n, t in tokens.items()]
        while len(tally.acknowledged) < questions / 2:
            await asyncio.sleep(0.01)
        tally.killed_at = time.monotonic()
        server.send_signal(signal.SIGKILL)
        server.wait()
        server = start(store, port)
        await reachable(url)
        tally.back_at = time.monotonic()
        await asyncio.gather(*at_work)
        wall = time.monotonic() - began
    finally:
        cpu = _cpu_seconds(server.pid)
        server.kill()
        server.wait()
    answers = saved(store, "sentiment", "b1")
    kept = {q: (str(versions[-1]["labeler_id"]), versions[-1]["best"]) for q, versions in answers.items()}
    with tempfile.TemporaryDirectory() as files, tempfile.TemporaryDirectory() as scratch:
        collected = collect(store, "sentiment", "b1", Path(files))
        assert collected is not None
        ingested = ingest(store, "sentiment", collected.path, Path(scratch))
    times = sorted(tally.seconds)
    return {
        "labelers": people,
        "questions": questions,
        "answered": len(answers),
        "acknowledged": len(tally.acknowledged),
        "acknowledged_but_not_stored_so": sum(kept.get(q) != said for q, said in tally.acknowledged.items()),
        "answered_twice": sum(len(versions) - 1 for versions in answers.values()),
        "ingested": ingested.accepted,
        "ingested_twice_or_bad": ingested.duplicates + ingested.quarantined,
        "told_that_another_was_first": tally.conflicts,
        "slowed_down_429": tally.repeats,
        "connections_lost_at_the_kill": tally.lost_connections,
        "seconds_away": round(tally.back_at - tally.killed_at, 2),
        "wall_seconds": round(wall, 1),
        "cpu_seconds_of_the_second_server": cpu,
        "ms_p50": round(1000 * statistics.median(times), 1),
        "ms_p99": round(1000 * times[int(0.99 * len(times))], 1),
        "ms_max": round(1000 * times[-1], 1),
    }


def _cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    arguments = parser("bench.speed.page", __doc__)
    arguments.add_argument("labelers", type=int, nargs="?", default=50, help="labelers at once (%(default)s)")
    arguments.add_argument("questions", type=int, nargs="?", default=5_000, help="questions in the batch (%(default)s)")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(run(given.labelers, given.questions, Path(folder)))
    for name, value in result.items():
        print(f"{name:<34} {value:>10,}")
    bad = result["acknowledged_but_not_stored_so"] + result["answered_twice"] + result["ingested_twice_or_bad"]
    sys.exit(1 if bad or result["ingested"] != result["questions"] else 0)
