"""Starts Andon's own modules in any folder, and under any PYTHONPATH.

Machine-learning repositories often have packages called `data`, `models` or `tasks`, as Andon has. Python imports the
first one that it finds. It looks in PYTHONPATH and, with `python -m`, in the current folder before it looks among the
installed packages. So the command `andon` starts here, and every child process is started by `command`: Andon's names
then mean the packages next to this file, and all other names mean what they meant before.

A child process does not outlive its parent, however the parent ends, unless `lasting` made its command. The child looks
at its parent's id every second, because only Linux can send a signal at the death of a parent, and does so too early if
the thread that started the child ends.
"""

import os
import runpy
import signal
import sys
import threading
import time
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

HOME = Path(__file__).resolve().parent
OWN = ("flows", "tasks", "models", "data", "web", "andon_launcher")
PARENT = "--parent="  # the first argument of a child
LOOK_S = 1.0  # the time between two looks at the parent
SAVE_S = 90.0  # the time that an orphan gets to end; a training that saves its state limits its time itself


class OwnPackages(MetaPathFinder):
    """Finds Andon's packages next to this file, and nothing else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(fullname, [str(HOME)]) if fullname in OWN else None


def put_first() -> None:
    """Make Andon's names mean Andon's packages in this process, also those that another package was imported by.

    Children that Python starts by itself do not look in the current folder either.
    """
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    if not any(isinstance(finder, OwnPackages) for finder in sys.meta_path):
        sys.meta_path.insert(0, OwnPackages())
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in OWN and not _is_own(name, module):
            del sys.modules[name]


def command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of Andon, or of an installed package, in a child of this process."""
    return [sys.executable, "-P", str(HOME / "andon_launcher.py"), f"{PARENT}{os.getpid()}", module, *arguments]


def lasting(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module in a process that goes on after this one has ended."""
    return [sys.executable, "-P", str(HOME / "andon_launcher.py"), module, *arguments]


def script(module: str, *arguments: str) -> list[str]:
    """Return the same command without the interpreter, for programs that start one themselves."""
    return [str(HOME / "andon_launcher.py"), f"{PARENT}0", module, *arguments]


def end_with(parent: int) -> None:
    """End this process, and its group if it leads one, soon after its parent has ended.

    `parent` is the process id of the parent. If it is 0, the parent is the process that started this one.
    """
    expected = parent or os.getppid()

    def watch() -> None:
        while os.getppid() == expected:
            time.sleep(LOOK_S)
        end = os.killpg if os.getpgrp() == os.getpid() else os.kill
        end(os.getpid(), signal.SIGTERM)
        time.sleep(SAVE_S)
        training = sys.modules.get("models.training.termination")
        while training is not None and training.leaving():
            time.sleep(LOOK_S)
        end(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="end with the parent").start()


def main() -> None:
    """Run the command line: the entry point of `andon`."""
    put_first()
    from flows.cli.main import main as andon

    andon()


def _is_own(name: str, module: ModuleType) -> bool:
    spec = getattr(module, "__spec__", None)
    places = [spec.origin] if spec and spec.origin else list(getattr(module, "__path__", []))
    top = name.partition(".")[0]
    own = {HOME / top, HOME / f"{top}.py"}
    return any(own & {path, *path.parents} for path in (Path(place).resolve() for place in places))


if __name__ == "__main__":
    put_first()
    if sys.argv[1].startswith(PARENT):
        end_with(int(sys.argv.pop(1).removeprefix(PARENT)))
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
