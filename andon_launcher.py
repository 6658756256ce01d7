"""Starts Andon's own modules in any folder, and under any PYTHONPATH.

Machine-learning repositories often have packages called `data`, `models` or `tasks`, as Andon has. Python imports the
first one that it finds. It looks in PYTHONPATH and, with `python -m`, in the current folder before it looks among the
installed packages. So the command `andon` starts here, and every child process is started by `command`: Andon's names
then mean the packages next to this file, and all other names mean what they meant before.
"""

import os
import runpy
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

HOME = Path(__file__).resolve().parent
OWN = ("flows", "tasks", "models", "data", "web", "andon_launcher")


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
    """Return the command that runs a module of Andon, or of an installed package, in a child process."""
    return [sys.executable, "-P", *script(module, *arguments)]


def script(module: str, *arguments: str) -> list[str]:
    """Return the same command without the interpreter, for programs that start one themselves."""
    return [str(HOME / "andon_launcher.py"), module, *arguments]


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
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
