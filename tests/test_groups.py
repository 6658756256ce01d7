"""One run has all groups of tests: the longest start first, and a group without tests fails."""

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

def test_short() -> None: ...
@pytest.mark.slow
def test_long() -> None: ...
@pytest.mark.flow
def test_flow() -> None: ...
"""


@pytest.mark.slow
def test_the_longest_start_first_and_a_group_without_tests_fails(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    root = Path(__file__).parents[1]

    def run(*options: str) -> tuple[int, list[str]]:
        command = [sys.executable, "-m", "pytest", "-c", str(root / "pyproject.toml"), "-p", "tests.support.groups"]
        command += ["--rootdir", str(tmp_path), "-p", "no:cacheprovider", "-vv", *options, str(tmp_path)]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True)
        return done.returncode, [
            line.split("::")[1].split()[0] for line in done.stdout.splitlines() if "::test" in line
        ]

    assert run("--groups=flow,slow,unmarked") == (0, ["test_flow", "test_long", "test_short"])
    assert run("--groups=flow,slow,browser")[0] == 1
    assert run("--groups=flow,slow", "-m", "not flow") == (1, ["test_long", "test_short"]), "deselected is not there"
    assert run("--groups=unmarked", "-m", "flow") == (1, ["test_flow"])
