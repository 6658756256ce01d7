"""Benchmarks: medians of five runs, CPU seconds beside wall seconds. Never part of the tests.

`python -m bench.NAME --help` says what one measures and how it is called.
"""

import ast
import sys
from pathlib import Path


def _explain(called: list[str]) -> None:
    """End with what a benchmark's file says of it, where that was asked for: most begin hours of work without."""
    module = called[called.index("-m") + 1] if "-m" in called[:-1] else ""
    if module.startswith("bench.") and {"-h", "--help"} & set(called):
        source = Path(__file__).parent.parent.joinpath(*module.split(".")).with_suffix(".py")
        if source.is_file():
            sys.stdout.write(f"{ast.get_docstring(ast.parse(source.read_text()))}\n")
            sys.exit()


_explain(sys.orig_argv)
