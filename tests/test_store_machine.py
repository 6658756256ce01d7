"""Any order of deliveries, pulls and releases, with losses of power between and in the middle of them, against a model.

The model is two sets for each kind of thing: what was acknowledged, and what was begun when the machine went down. What
is there must lie between the two, and no label may be there twice.
"""

import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from data import cord, labels
from data.canonical import sha256_of_file
from data.publication import publish
from data.store import LocalStore
from tests.simfs import Disk, Recorder, restore
from tests.whole_path import BATCH, NOW, Material, counted_once, material, on_machine

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
        scratch = Path(tempfile.mkdtemp(dir=self.folder))
        done = self._do(lambda store: labels.ingest(store, "c", file, scratch), crash)
        (self.taken if done else self.maybe_taken).add(sha256_of_file(file))

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
            there = {entry["file_sha256"] for entry in labels.deliveries(store, "c")}
            found = {each.pull.reason: each.release is not None for each in self._seen(store)}
            assert counted_once(store)
        assert self.taken <= there <= self.taken | self.maybe_taken
        assert self.pulled <= found.keys() <= self.pulled | self.maybe_pulled
        free = {reason for reason, released in found.items() if released}
        assert self.freed <= free <= self.freed | self.maybe_freed

    def _seen(self, store: LocalStore) -> list[cord.Pulled]:
        """Look at the cord; what lay in the spool is put into the log by it, which the disk must know."""
        found: list[cord.Pulled] = []
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
