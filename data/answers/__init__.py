"""The kinds of answers: one class a file, found here by its name. A new kind is a new file, its template and its test.

Every file of this package but `base` and `answer` has a `KIND` (see `data.answers.base.Kind`). Answer files, labels,
training targets, labeling tools, the labeling page and the data dictionary read this list and nothing else.
"""

import pkgutil
from importlib import import_module

from data.answers.base import Kind

SHARED = {"base", "answer"}  # modules that are not kinds


def _kinds() -> tuple[Kind, ...]:
    names = [module.name for module in pkgutil.iter_modules(__path__) if module.name not in SHARED]
    kinds: list[Kind] = [import_module(f"{__name__}.{name}").KIND for name in names]
    return tuple(sorted(kinds, key=lambda kind: (kind.precedence, kind.name)))


KINDS = _kinds()
BY_NAME = {kind.name: kind for kind in KINDS}
BEST = BY_NAME["best"]
DETAILED = tuple(kind for kind in KINDS if kind is not BEST)  # kinds with more than one best sample
