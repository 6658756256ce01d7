"""The crash matrix in its short form, and that it fails where the code is wrong; `make reliability` runs it in full."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest

from data.ingest import pipeline
from data.store import LocalStore, local, log
from tests.reliability.crash_matrix import one_process, two_processes

pytestmark = pytest.mark.reliability


def test_a_crash_anywhere_on_the_whole_path_breaks_no_promise() -> None:
    outcome = one_process(losses=2, every=40)
    assert outcome.violations == {}
    assert outcome.calls > 400 and outcome.states > 60 and outcome.distinct > 25


def test_a_crash_of_two_that_write_to_one_log_breaks_no_promise() -> None:
    outcome = two_processes(losses=10, seeds=40)
    assert outcome.violations == {}
    assert outcome.states > 10_000 and outcome.distinct > 100


def rewritten(module: ModuleType, old: str, new: str) -> dict[str, Any]:
    """Return the names of a module whose source is changed in one place."""
    source = inspect.getsource(module)
    assert source.count(old) == 1, f"{old!r} is there {source.count(old)} times"
    names: dict[str, Any] = {"__name__": module.__name__}
    exec(compile(source.replace(old, new), str(module.__file__), "exec"), names)
    return names


@contextmanager
def other_create(old: str, new: str) -> Iterator[None]:
    created = rewritten(local, old, new)["LocalStore"]._created
    with patch.object(LocalStore, "_created", created):
        yield


LINK = "os.link(name, final)"
IN_PLACE = """with os.fdopen(os.open(final, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as copy:
                    copy.write(Path(name).read_bytes())
                    os.fsync(copy.fileno())"""
SYNC = "            _sync_folder(final.parent)\n            return created"
ONLY_THE_WINNER = "            created and _sync_folder(final.parent)\n            return created"


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (lambda: other_create("                os.fsync(file.fileno())  #", "                #"), {"I2", "I6"}),
        (lambda: patch.object(local, "_sync_folder", lambda folder: None), {"I1", "I6"}),
        (lambda: other_create(LINK, IN_PLACE), {"I2"}),
    ],
    ids=["files not synced", "folders not synced", "written in place"],
)
def test_the_matrix_finds_what_would_break_a_store(change: Any, broken: set[str]) -> None:
    assert broken <= one_process(losses=4, every=9, again=False, change=change()).violations.keys()


def test_the_matrix_finds_that_a_delivery_is_not_recognised() -> None:
    change = patch.object(pipeline, "next", lambda found, otherwise: otherwise, create=True)
    assert "I3" in one_process(losses=0, every=10_000, change=change).violations


@pytest.mark.parametrize(
    ("change", "seeds", "longest_turn"),
    [
        (lambda: other_create("            _sync_folder(final.parent)  #", "            #"), 150, 40),
        (lambda: other_create(SYNC, ONLY_THE_WINNER), 300, 14),
        (lambda: patch.object(log, "append", rewritten(log, "if so_far:", "if False:")["append"]), 100, 40),
    ],
    ids=["appends to what may not be durable", "the loser does not sync", "acts on what may not be durable"],
)
def test_the_matrix_finds_what_would_break_two_processes(change: Any, seeds: int, longest_turn: int) -> None:
    assert two_processes(losses=4, seeds=seeds, longest_turn=longest_turn, change=change()).violations
