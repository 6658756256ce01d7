"""A full or failing disk at every call of the whole path: a clean refusal, nothing half there, and it goes on later."""

import errno
import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from data.errors import Refused
from tests.support.scenario import Material, material, on_machine, open_below, visible, work
from tests.support.simfs import Call, Recorder

FAULTS = {"no space": errno.ENOSPC, "input/output error": errno.EIO}


class Outcome(NamedTuple):
    """What happened when the disk failed."""

    faults: int
    refused: int  # the rest was borne: a checkpoint or a pull was kept aside, or a temporary file stayed
    violations: dict[str, int]


class Failing:
    """Raises an OSError at one call."""

    def __init__(self, at: int, number: int) -> None:
        self.at, self.number, self.count, self.failed = at, number, 0, list[Call]()

    def __call__(self, call: Call) -> None:
        self.count += 1
        if self.count == self.at:
            self.failed.append(call)
            raise OSError(self.number, os.strerror(self.number))


def every_call(every: int = 1, first: int = 1) -> Outcome:
    """Let each `every`-th call of the whole path fail, once with no space and once with an input/output error."""
    violations: Counter[str] = Counter()
    faults = refused = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        made, root = material(folder), folder / "root"
        past = _undisturbed(root, made)
        calls, expected = _calls(root, made), past[-1]
        for at in range(first, calls + 1, every):
            for number in FAULTS.values():
                faults += 1
                root.mkdir()
                failing = Failing(at, number)
                recorder = Recorder(root, failing)
                with on_machine(root / "state", 0):
                    with recorder.watching():
                        try:
                            work(open_below(root), made)
                        except Refused as refusal:
                            refused += 1
                            violations["more than a line"] += "\n" in str(refusal)
                        except Exception:
                            violations["not a refusal"] += 1
                    violations["half there"] += visible(open_below(root)) not in past
                    violations["a failed sync was believed"] += any(map(recorder.published, failing.failed))
                with on_machine(root / "state", 1), Recorder(root).watching():
                    work(open_below(root), made)
                    violations["another end"] += visible(open_below(root)) != expected
                shutil.rmtree(root)
    return Outcome(faults, refused, {name: count for name, count in violations.items() if count})


def _undisturbed(root: Path, made: Material) -> list[Any]:
    """Return all that readers see from call to call, ending with what they see when everything is done."""
    past: list[Any] = []

    def look(call: Call) -> None:
        if call.kind in ("link", "unlink"):  # nothing else changes what is seen
            recorder.before = lambda call: None  # looking may put what is spooled into the log
            seen = visible(open_below(root))
            recorder.before = look
            past.extend([] if seen in past else [seen])

    recorder = Recorder(root, look)
    root.mkdir()
    with on_machine(root / "state", 0), recorder.watching():
        work(open_below(root), made)
        recorder.before = lambda call: None
        past.append(visible(open_below(root)))
    shutil.rmtree(root)
    return past


def _calls(root: Path, made: Material) -> int:
    recorder = Recorder(root)
    root.mkdir()
    with on_machine(root / "state", 0), recorder.watching():
        work(open_below(root), made)
    shutil.rmtree(root)
    return len(recorder.calls)


if __name__ == "__main__":
    outcome = every_call()
    sys.stdout.write(
        f"a disk that fails at one call: {outcome.faults:,} faults, {outcome.refused:,} refused, the rest borne; "
        f"{sum(outcome.violations.values())} violations {outcome.violations or ''}\n"
    )
    sys.exit(bool(outcome.violations))
