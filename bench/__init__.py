"""Benchmarks: medians of five runs, with CPU seconds and wall seconds. They are never part of the tests.

`python -m bench.PACKAGE.NAME --help` says what a benchmark measures and which arguments it takes.
"""

import models  # noqa: F401  # before a benchmark loads torch: it sets how threads wait
