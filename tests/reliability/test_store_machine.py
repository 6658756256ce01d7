"""Any order of deliveries, pulls and releases, with losses of power between and in the middle of them, against a model.

Deliveries come again in other cuts, and labelers correct themselves. The model is two sets for each kind of thing: what
was acknowledged, and what was begun when the machine went down. What is there must lie between the two, no label may be
there twice, and nobody's answer to a question may count twice.
"""

import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from data.batches.schema import write_table
from data.canonical import sha256_of_file
from data.cord import cord
from data.cord.entries import Pulled
from data.ingest import pipeline
from data.labels.table import Committed, active_labels, committed, deliveries
from data.store import LocalStore
from data.store.manifest import publish
from tests.support import answer_files
from tests.support.scenario import BATCH, NOW, Material, counted_once, material, on_machine
from tests.support.simfs import Disk, Recorder, restore

SUFFIXES = st.sampled_from(["parquet", "csv", "jsonl"])
CRASH = st.one_of(st.none(), st.tuples(st.floats(0, 1), st.integers(0, 1 << 16)))  # where in it, on which disk


class Line(RuleBasedStateMachine):
    """One machine that goes down now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.made: Material = material(self.folder)
        self.boots, self.disk = 0, Disk()
        self.root = self.folder / "0"
        self.root.mkdir()
        self.taken, self.maybe_taken = set[str](), set[str]()
        self.answered = set[tuple[str, str]]()  # which question by whom
        self.said: dict[tuple[str, str], set[int]] = {}  # the positions of which one must count
        self.corrected = set[str]()  # labels whose correction was acknowledged
        self.given = [row for file in self.made.deliveries for row in pq.read_table(file).to_pylist()]
        self.content = {row["question_id"]: row["content_sha256"] for row in self.given}
        self.pulled, self.maybe_pulled = set[str](), set[str]()
        self.freed, self.maybe_freed = set[str](), set[str]()
        facts = {"batch": "b1", "round": 1, "questions": 12}
        self._do(lambda s: publish(s, BATCH, "batch", self.made.batch, inputs={}, facts=facts, began=NOW), None)

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def _do(self, action: Callable[[LocalStore], object], crash: tuple[float, int] | None) -> bool:
        """Do something, and return whether it was done before the machine went down."""
        recorder = Recorder(self.root)
        with on_machine(self.root / "state", self.boots), recorder.watching():
            action(LocalStore(self.root / "store"))
        stop = len(recorder.calls) if crash is None else int(crash[0] * len(recorder.calls))
        for call in recorder.calls[:stop]:
            self.disk.apply(call)
        if crash is None:
            return True
        files = self.disk.after_power_loss(random.Random(crash[1]))
        self.boots, self.disk, old = self.boots + 1, Disk.of(files), self.root
        self.root = self.folder / str(self.boots)
        restore(files, self.root)
        shutil.rmtree(old)
        return stop == len(recorder.calls)

    @rule(number=st.integers(0, 2), crash=CRASH)
    def deliver(self, number: int, crash: tuple[float, int] | None) -> None:
        file = self.made.deliveries[number]
        self._note_answers(pq.read_table(file).to_pylist(), self._take_in(file, crash))

    @rule(size=st.integers(1, 40), draw=st.randoms(use_true_random=False), suffix=SUFFIXES, crash=CRASH)
    def deliver_in_another_cut(
        self, size: int, draw: random.Random, suffix: str, crash: tuple[float, int] | None
    ) -> None:
        """Deliver some of all answers, and of the corrections that are there, in another order and format."""
        again = [self._row(label, label.best_shown, label.supersedes) for label in self._labels() if label.supersedes]
        rows = draw.sample([*self.given, *again], min(size, len(self.given) + len(again)))
        done = self._take_in(self._written(rows, suffix), crash)
        self._note_answers([row for row in rows if not row.get("supersedes")], done)

    @precondition(lambda self: self.answered)
    @rule(pick=st.integers(0, 3), turn=st.integers(1, 3), suffix=SUFFIXES, crash=CRASH)
    def correct(self, pick: int, turn: int, suffix: str, crash: tuple[float, int] | None) -> None:
        """Give another answer in the place of one of the last that count, often of a correction."""
        counting = active_labels(self._labels())
        label = counting[-1 - pick % len(counting)]
        assert label.best_shown is not None
        row = self._row(label, (label.best_shown + turn) % 4, label.label_id)
        done = self._take_in(self._written([row], suffix), crash)
        mine = (label.question_id, label.labeler_id)
        self.said[mine] = {row["best"]} if done else self.said[mine] | {row["best"]}
        self.corrected |= {label.label_id} if done else set()

    def _take_in(self, file: Path, crash: tuple[float, int] | None) -> bool:
        """Ingest a file of good answers, and return whether that was done before the machine went down."""
        scratch = Path(tempfile.mkdtemp(dir=self.folder))

        def take_in(store: LocalStore) -> None:
            assert pipeline.ingest(store, "c", file, scratch).quarantined == 0

        done = self._do(take_in, crash)
        (self.taken if done else self.maybe_taken).add(sha256_of_file(file))
        return done

    def _note_answers(self, rows: list[dict[str, Any]], done: bool) -> None:
        for row in rows:
            mine = (row["question_id"], row["labeler_id"])
            self.said.setdefault(mine, {row["best"]})  # what was corrected since stays corrected
            self.answered |= {mine} if done else set()

    def _labels(self) -> list[Committed]:
        with on_machine(self.root / "state", self.boots):
            store = LocalStore(self.root / "store")
            return list(committed(store, deliveries(store, "c")))

    def _row(self, label: Committed, best: int | None, supersedes: str | None) -> dict[str, Any]:
        who = {"question_id": label.question_id, "content_sha256": self.content[label.question_id]}
        return who | {"labeler_id": label.labeler_id, "best": best, "supersedes": supersedes}

    def _written(self, rows: list[dict[str, Any]], suffix: str) -> Path:
        path = Path(tempfile.mkdtemp(dir=self.folder)) / f"answers.{suffix}"
        if suffix == "parquet":
            write_table(pa.Table.from_pylist([{"supersedes": None} | row for row in rows]), path)
            return path
        texts = [{name: str(value) for name, value in row.items() if value is not None} for row in rows]
        return answer_files.write(texts, path)

    @rule(crash=CRASH)
    def pull(self, crash: tuple[float, int] | None) -> None:
        reason = f"reason {len(self.pulled | self.maybe_pulled)}"
        done = self._do(lambda store: cord.pull(store, reason, by="ann"), crash)
        (self.pulled if done else self.maybe_pulled).add(reason)

    @precondition(lambda self: self.pulled - self.freed - self.maybe_freed)
    @rule(crash=CRASH)
    def release(self, crash: tuple[float, int] | None) -> None:
        reason = min(self.pulled - self.freed - self.maybe_freed)

        def let_go(store: LocalStore) -> None:
            (made,) = [each.pull for each in cord.pulls(store) if each.pull.reason == reason]
            cord.release(store, made.pull, by="bob", reason="a quotation")

        done = self._do(let_go, crash)
        (self.freed if done else self.maybe_freed).add(reason)

    @invariant()
    def what_is_there_was_done_or_begun_and_what_was_done_is_there(self) -> None:
        with on_machine(self.root / "state", self.boots):
            store = LocalStore(self.root / "store")
            there = {entry["file_sha256"] for entry in deliveries(store, "c")}
            found = {each.pull.reason: each.release is not None for each in self._seen(store)}
            assert counted_once(store)
        counting = active_labels(self._labels())
        answered = [(label.question_id, label.labeler_id) for label in counting]
        assert len(answered) == len(set(answered)), "nobody's answer to a question counts twice"
        assert self.answered <= set(answered) <= self.said.keys()
        assert all(label.best_shown in self.said[mine] for label, mine in zip(counting, answered, strict=True))
        assert self.corrected.isdisjoint(label.label_id for label in counting)
        assert self.taken <= there <= self.taken | self.maybe_taken
        assert self.pulled <= found.keys() <= self.pulled | self.maybe_pulled
        free = {reason for reason, released in found.items() if released}
        assert self.freed <= free <= self.freed | self.maybe_freed

    def _seen(self, store: LocalStore) -> list[Pulled]:
        """Look at the cord; what lay in the spool is put into the log by it, which the disk must know."""
        found: list[Pulled] = []
        recorder = Recorder(self.root)
        with recorder.watching():
            found += cord.pulls(store)
        for call in recorder.calls:
            self.disk.apply(call)
        return found


Line.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestLine = pytest.mark.reliability(Line.TestCase)
