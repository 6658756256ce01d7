"""Two ingests at one moment (kind 39 of bad input): the same answer never counts twice, whichever is faster."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from data.batches.schema import write_table
from data.ingest import pipeline
from data.ingest.pipeline import IngestResult, ingest
from data.labels.table import committed, deliveries
from data.store import LocalStore
from tests.support.scenario import read_here
from tests.support.vendor import Round

ROOT = Path(__file__).resolve().parents[2]
TAKE_IN = """
import sys
from pathlib import Path
from data.ingest.pipeline import ingest
from data.store import LocalStore
print("ready", flush=True)
for line in sys.stdin:
    store, file, scratch = map(Path, line.split())
    print(ingest(LocalStore(store), "c", file, scratch).accepted, flush=True)
"""


@pytest.fixture
def files(sent: Round) -> dict[str, Path]:
    """One delivery, and the same answers in other files."""
    given = sent.answers()
    made = {"whole": given, "sorted": given[::-1], "half": given[: len(given) // 2]}
    for name, rows in made.items():
        write_table(pa.Table.from_pylist(rows), sent.folder / f"{name}.parquet")
    return {name: sent.folder / f"{name}.parquet" for name in made}


def scratch_of(sent: Round, name: str) -> Path:
    (sent.folder / name).mkdir()
    return sent.folder / name


def counted(store: LocalStore) -> list[str]:
    """Return the ids of all labels, each as often as it is there."""
    return [label.label_id for label in committed(store, deliveries(store, "c"))]


@pytest.mark.slow
def test_kind_39_two_processes_take_the_same_answers_once(sent: Round, files: dict[str, Path]) -> None:
    command = [sys.executable, "-c", TAKE_IN]
    pipe = subprocess.PIPE
    racers = [subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) for _ in range(2)]
    outputs = [racer.stdout for racer in racers if racer.stdout is not None]
    assert [output.readline() for output in outputs] == ["ready\n", "ready\n"]
    for other, entries in (("whole", 1), ("sorted", 2)):
        store = LocalStore(sent.folder / f"store-{other}")
        shutil.copytree(sent.store.root, store.root)
        for number, (racer, name) in enumerate(zip(racers, ("whole", other), strict=True)):
            assert racer.stdin is not None
            racer.stdin.write(f"{store.root} {files[name]} {scratch_of(sent, f'{other}-{number}')}\n")
            racer.stdin.flush()
        accepted = [int(output.readline()) for output in outputs]
        assert sorted(accepted) == [0, len(sent.key)], "one takes all, the other nothing"
        ids = counted(store)
        assert len(ids) == len(set(ids)) == len(sent.key) and len(deliveries(store, "c")) == entries
    for racer in racers:
        racer.communicate()
    assert [racer.returncode for racer in racers] == [0, 0]


class Overtaken(LocalStore):
    """A store in which another one is faster whenever the first label entry is about to be written."""

    faster: Callable[[], IngestResult] | None = None

    def put_new(self, key: str, data: bytes) -> bool:
        if self.faster is not None and key.startswith("campaigns/c/labels/log/"):
            faster, self.faster = self.faster, None
            self.outcome = faster()
        return super().put_new(key, data)


@pytest.mark.parametrize("other", ["whole", "sorted", "half"])
def test_kind_39_an_ingest_that_is_overtaken_looks_again(
    other: str, sent: Round, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "read_sandboxed", read_here)
    store = Overtaken(sent.store.root)
    store.faster = lambda: ingest(sent.store, "c", files[other], scratch_of(sent, "theirs"))
    outcome = ingest(store, "c", files["whole"], scratch_of(sent, "ours"))
    assert store.outcome.accepted + outcome.accepted == len(sent.key)
    assert outcome.duplicates >= store.outcome.accepted > 0
    ids = counted(sent.store)
    assert len(ids) == len(set(ids)) == len(sent.key)
