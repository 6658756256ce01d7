"""A short form of the two fuzzers; `make fuzz` is the long one."""

import contextlib
import random
from pathlib import Path

import pytest

from tests.reliability import fuzz_page, fuzz_store

pytestmark = pytest.mark.reliability


@pytest.mark.parametrize("seed", range(3))
def test_odd_requests_break_neither_the_page_nor_its_store(seed: int) -> None:
    trial = fuzz_page.trial(f"test {seed}", 200)
    assert trial.faults == [] and trial.answers > 0


def test_odd_files_in_a_store_stop_a_command_with_one_line_at_most(tmp_path: Path) -> None:
    with contextlib.chdir(fuzz_store.template(tmp_path)):
        for number in range(20):
            assert fuzz_store.trial(random.Random(f"test {number}"), Path("store").absolute(), 2) == []
