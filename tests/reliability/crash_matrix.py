"""The crash matrix: the real store code, stopped at every call, on every disk that may be left; six invariants.

`python -m tests.reliability.crash_matrix` runs it in full. Two parts: the whole path of a round by one process, and two
processes that write to one log at once. Each is recorded once (tests/support/simfs.py); then every beginning of the
record is a crash.

I1 what was acknowledged is there and whole          I4 no label counts twice
I2 what is there is a beginning of what was done     I5 no log has a hole
I3 done again, it ends as if nothing had been        I6 no pull of the cord is lost
"""

import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from data.canonical import Document, content_id, sha256
from data.cord import cord
from data.errors import Refused
from data.store import LocalStore, Store, log
from tests.support.scenario import REASON, Material, counted_once, material, on_machine, open_below, visible, work
from tests.support.simfs import Call, Disk, Files, Recorder, restore

Change = AbstractContextManager[object]


class Outcome(NamedTuple):
    """How often which invariant did not hold."""

    calls: int
    states: int  # crashes, each on one disk
    distinct: int  # disks among them that differ
    violations: dict[str, int]


class Found(NamedTuple):
    """What a disk turned out to hold; `broken` names the invariant that readers found broken."""

    seen: tuple[Any, ...] | None
    pulled: bool
    broken: str | None


def one_process(losses: int, every: int = 1, again: bool = True, change: Change | None = None) -> Outcome:
    """Crash the whole path at every `every`-th call: once by death of the process, `losses` times by loss of power.

    After each crash everything is read and, with `again`, done again.
    """
    with tempfile.TemporaryDirectory() as temporary, change or nullcontext():
        return _one_process(Path(temporary), losses, every, again)


def _one_process(folder: Path, losses: int, every: int, again: bool) -> Outcome:
    made, root = material(folder), folder / "root"
    root.mkdir()
    recorder, acks = Recorder(root), dict[int, str]()
    with on_machine(root / "state", 0), recorder.watching():
        work(open_below(root), made, lambda step: acks.update({len(recorder.calls): step}))
    with on_machine(root / "state", 0):
        expected = visible(open_below(root))
    looked: dict[str, Found] = {}
    redone: dict[str, set[str]] = {}
    violations: Counter[str] = Counter()
    # What a process sees from call to call is the history; a crash may only leave a beginning of it.
    past: list[tuple[Any, ...] | None] = []
    disk, states, acknowledged, draw = Disk(), 0, 0, random.Random(0)
    for at in range(len(recorder.calls) + 1):
        if at:
            disk.apply(recorder.calls[at - 1])
        for number in range(losses + 1):
            files = disk.after_power_loss(draw) if number else disk.after_death()
            key = _name(files)
            if key not in looked:
                looked[key] = _look(files, folder / "again")
            found = looked[key]
            if number == 0:
                past += [] if found.seen in past else [found.seen]
                acknowledged = past.index(found.seen) if at in acks else acknowledged
            if at % every and at not in acks:
                break
            if key not in redone:
                redone[key] = set()
                if again and not found.broken:
                    redone[key] = _redo(files, folder / "again", made, expected, len(redone) + 1)
            states += 1
            violations.update(redone[key])
            if found.broken:
                violations[found.broken] += 1
            elif found.seen not in past:
                violations["I2"] += 1
            elif past.index(found.seen) < acknowledged:
                violations["I1"] += 1
            if any(step == "pull" and at >= when for when, step in acks.items()) and not found.pulled:
                violations["I6"] += 1
    return Outcome(len(recorder.calls), states, len(redone), dict(violations))


def _name(files: Files) -> str:
    return content_id([[path, what if what is None else sha256(what)] for path, what in files.items()])


def _look(files: Files, root: Path) -> Found:
    """Come back on a disk, and read everything."""
    with _back_on(files, root, boot=-1) as store:
        try:
            pulled = any(each.pull.reason == REASON for each in cord.pulls(store))
            seen = visible(store)
            return Found(seen, pulled, None if counted_once(store) else "I4")
        except Refused as refusal:
            return Found(None, False, "I5" if "has no entry" in str(refusal) else "I2")


def _redo(files: Files, root: Path, made: Material, expected: tuple[Any, ...], boot: int) -> set[str]:
    """Come back on a disk, and do everything again."""
    with _back_on(files, root, boot) as store:
        try:
            work(store, made)
            ended = visible(store)
            return ({"I3"} if ended != expected else set()) | (set() if counted_once(store) else {"I4"})
        except (Refused, OSError, ValueError, KeyError, AssertionError):
            return {"I3"}


@contextmanager
def _back_on(files: Files, root: Path, boot: int) -> Iterator[Store]:
    restore(files, root)
    (root / "store").mkdir(exist_ok=True)
    try:
        # What is tested was recorded before: do not wait for a real disk.
        with on_machine(root / "state", boot), patch("os.fsync", lambda descriptor: None):
            yield open_below(root)
    finally:
        shutil.rmtree(root)


class _Baton:
    """Lets one of two threads run at a time: one for some calls, the other for some, then each to its end.

    Most faults of two processes show when one is stopped twice at the wrong call; where, is drawn.
    """

    def __init__(self, seed: int, longest: int) -> None:
        draw, self.changed = random.Random(seed), threading.Condition()
        self.running, self.turn = [0, 1], 0
        self.turns = [draw.randrange(longest) for _ in range(3)]

    def pass_on(self, _: Call | None = None) -> None:
        mine = int(threading.current_thread().name)
        with self.changed:
            if self.turns and self.turns[0] == 0:
                self.turns.pop(0)
                self.turn = next((number for number in self.running if number != mine), mine)
            elif self.turns:
                self.turns[0] -= 1
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.turn == mine)

    def run(self, job: Callable[[int], None], number: int) -> None:
        with self.changed:
            self.changed.wait_for(lambda: self.turn == number)
        try:
            job(number)
        finally:
            with self.changed:
                self.running.remove(number)
                self.turn = self.running[0] if self.running else -1
                self.changed.notify_all()


def two_processes(losses: int, seeds: int, longest_turn: int = 40, change: Change | None = None) -> Outcome:
    """Let two write to one log at once, in as many interleavings as there are `seeds`, and crash at every call."""
    found = []
    with change or nullcontext():
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as temporary:
                found.append(_two_processes(Path(temporary), losses, seed, longest_turn))
    violations = sum((Counter(one.violations) for one in found), Counter[str]())
    calls, states, distinct = zip(*((one.calls, one.states, one.distinct) for one in found), strict=True)
    return Outcome(sum(calls), sum(states), sum(distinct), dict(violations))


def _two_processes(folder: Path, losses: int, seed: int, longest_turn: int) -> Outcome:
    root = folder / "root"
    root.mkdir()
    baton = _Baton(seed, longest_turn)
    recorder = Recorder(root, baton.pass_on)
    acks: list[tuple[int, str]] = []

    def writer(number: int) -> None:
        store = open_below(root)
        store.put_new("once", b"of both")
        acks.append((len(recorder.calls), "once"))
        for name in ("of-both", f"{number}-own", "of-both-too"):  # as when both take in the same delivery

            def decide(so_far: list[Document], name: str = name) -> Document | None:
                return None if any(entry["name"] == name for entry in so_far) else {"name": name}

            baton.pass_on()
            log.append(store, "log", decide)
            acks.append((len(recorder.calls), name))

    threads = [threading.Thread(target=baton.run, args=(writer, n), name=str(n), daemon=True) for n in range(2)]
    with recorder.watching():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(600)
    assert not any(thread.is_alive() for thread in threads)
    disk, states, draw = Disk(), 0, random.Random(seed)
    known: dict[str, list[str] | str] = {}
    violations: Counter[str] = Counter()
    for at in range(len(recorder.calls) + 1):
        if at:
            disk.apply(recorder.calls[at - 1])
        promised = {name for when, name in acks if when <= at}
        for number in range(losses + 1):
            files = disk.after_power_loss(draw) if number else disk.after_death()
            key = _name(files)
            if key not in known:
                known[key] = _entries(files, folder / "again")
            states += 1
            names = known[key]
            if isinstance(names, str):
                violations[names] += 1
                continue
            violations["I1"] += not promised <= set(names)
            violations["I4"] += len(names) != len(set(names))
    return Outcome(len(recorder.calls), states, len(known), {name: n for name, n in violations.items() if n})


def _entries(files: Files, root: Path) -> list[str] | str:
    restore(files, root)
    once = ["once"] if files.get("store/once") == b"of both" else []
    try:
        return once + [entry["name"] for entry in log.entries(LocalStore(root / "store"), "log")]
    except Refused as refusal:
        return "I5" if "has no entry" in str(refusal) else "I2"
    finally:
        shutil.rmtree(root)


def main() -> None:
    """Print the numbers of the full matrix; exit with 1 where an invariant did not hold."""
    failed = False
    runs: list[tuple[str, Callable[[], Outcome]]] = [
        ("one process, the whole path", lambda: one_process(40)),
        ("two processes, one log", lambda: two_processes(40, 500)),
        ("two processes, short turns", lambda: two_processes(40, 500, longest_turn=14)),
    ]
    for name, run in runs:
        began = time.process_time()
        outcome = run()
        failed |= bool(outcome.violations)
        sys.stdout.write(
            f"{name}: {outcome.calls:,} calls, {outcome.states:,} crashes on {outcome.distinct:,} different disks, "
            f"{sum(outcome.violations.values())} violations {outcome.violations or ''} "
            f"({time.process_time() - began:.0f} s of CPU)\n"
        )
    sys.exit(failed)


if __name__ == "__main__":
    main()
