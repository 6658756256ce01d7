"""A published batch, and the labeling page that asks it: what the tests of the page begin with."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from data.batches.index import Batch, read_batch
from data.batches.schema import Question, Sample, blind, write_parts, write_table
from data.campaign import load_campaign
from data.campaign.settings import Ask
from data.store import LocalStore
from data.store.manifest import publish

ROOT = Path(__file__).resolve().parents[2]
EVIL = (
    "<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "left \u202eright\u202c and a bell \x07",
    "[a link](javascript:alert(1)) **not bold** </p></label>",
)
INSTRUCTIONS = "Choose the continuation that is the most positive: warm, happy, friendly."


def prepared(
    store: LocalStore,
    texts: Sequence[tuple[str, Sequence[str]]],
    campaign: str = "sentiment",
    ask: Ask | None = None,
    name: str = "b1",
) -> Batch:
    """Publish a batch of (query, options), which asks for the best option or for `ask`."""
    asked = [
        Question(f"{number}", query, [], tuple(Sample(text, [], "base") for text in options))
        for number, (query, options) in enumerate(texts)
    ]
    return published(store, asked, campaign, ask, name)


def gold_batch(store: LocalStore, count: int) -> Batch:
    """Publish a batch of gold questions, whose second text is the best one."""
    asked = [
        Question(f"{number}", query, [], tuple(Sample(text, [], "base") for text in options), role="gold", gold=1)
        for number, (query, options) in enumerate(simple(count))
    ]
    return published(store, asked)


def published(
    store: LocalStore,
    asked: Sequence[Question],
    campaign: str = "sentiment",
    ask: Ask | None = None,
    name: str = "b1",
) -> Batch:
    """Publish a batch of questions."""
    settings = load_campaign("sentiment").model_copy(update={"instructions": INSTRUCTIONS, "ask": ask or Ask()})
    vendor, key = blind(asked, settings.shown_instructions, f"secret of {name}".encode())
    folder = store.root.parent
    write_table(key, folder / "key.parquet")
    files: dict[str, Path | bytes] = dict(write_parts(vendor, folder))
    files["key/samples.parquet"] = folder / "key.parquet"
    facts: dict[str, object] = {"batch": name, "round": 1, "questions": len(key), "samples": 4, "vocabulary": "none"}
    if ask is not None:
        facts["campaign"] = settings.model_dump(mode="json")
    prefix = f"campaigns/{campaign}/batches/{name}"
    publish(store, prefix, "batch", files, inputs={}, facts=facts, began=datetime.now(UTC))
    batch = read_batch(store, campaign, name)
    assert batch is not None
    return batch


def simple(count: int) -> list[tuple[str, list[str]]]:
    return [(f"query {n}", [f"answer {n} of {letter}" for letter in "abcd"]) for n in range(count)]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Server:
    """The page of a store, in a process of its own, on one port for all its lives."""

    def __init__(self, store: LocalStore, *options: str) -> None:
        self.store, self.options = store, options
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, until: str = " at http") -> str:
        """Start the page, and return its line with `until`: by default the one that it prints when it listens."""
        command = [sys.executable, "-m", "flows.cli", "label", "sentiment", "--store", self.store.uri]
        command += ["--port", str(self.port), *self.options]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ
        )
        return self.wait_for(until)

    def wait_for(self, text: str) -> str:
        """Read what the page prints, up to the line with a text."""
        assert self.process is not None and self.process.stderr is not None
        lines = []
        for line in self.process.stderr:
            lines.append(line.decode())
            if text in lines[-1]:
                return lines[-1]
        raise AssertionError(f"the page ended: {''.join(lines)}")

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            assert self.process.stderr is not None
            self.process.stderr.close()
            self.process = None


def stored_answers(store: LocalStore, campaign: str = "sentiment") -> dict[str, dict[str, object]]:
    prefix = f"campaigns/{campaign}/page/b1/answers"
    return {key.rsplit("/", 1)[1]: json.loads(store.read(key)) for key in store.keys(prefix)}
