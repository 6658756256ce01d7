"""The checks can fail: break the learner in one place, as people have broken theirs, and the named test sees it.

The bugs are in tests/support/bugs.py, each with the test that must fail with it. The tree is copied, broken and tested
for real. The copy without a bug passes.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.bugs import BUGS, Bug

pytestmark = pytest.mark.mutation
ROOT = Path(__file__).resolve().parents[2]


MUTATIONS = [bug for bug in BUGS if bug.caught_by]


def run(tree: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project to break."""
    copy = tmp_path_factory.mktemp("mutations") / "tree"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "docs", "andon-*", "build")
    shutil.copytree(ROOT, copy, ignore=ignored)
    return copy


@pytest.mark.parametrize("bug", MUTATIONS, ids=lambda bug: bug.name)
def test_a_known_bug_is_caught(tree: Path, bug: Bug) -> None:
    before = bug.put_into(tree)
    try:
        result = run(tree, bug.caught_by)
    finally:
        (tree / bug.file).write_text(before)
    assert result.returncode == 1, f"{bug.name} went unseen:\n{result.stdout[-2000:]}{result.stderr[-500:]}"
    assert "ERROR" not in result.stdout, f"{bug.name} did not run:\n{result.stdout[-2000:]}"


def test_the_same_tests_pass_where_nothing_is_broken(tree: Path) -> None:
    result = run(tree, *sorted({bug.caught_by for bug in MUTATIONS}))
    assert result.returncode == 0, result.stdout[-2000:]
