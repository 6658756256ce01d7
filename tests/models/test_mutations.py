"""The checks can fail: break the learner in one place, as people have broken theirs, and the named test sees it.

The bugs are in tests/support/bugs.py, each with the test that must fail with it. The tree is copied, broken and tested
for real. The copy without a bug passes.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.bugs import BUGS, Bug

pytestmark = pytest.mark.mutation
ROOT = Path(__file__).resolve().parents[2]
MUTATIONS = [bug for bug in BUGS if bug.caught_by]


# This program forks a child for every list of tests that it reads. It has imported the libraries, which takes longer
# than most of the tests, and nothing of the tree, which each child imports anew.
FORKS = """
import json, os, sys, tempfile
import hypothesis, numpy, pandas, pyarrow.parquet, pytest, scipy.stats, torch
from transformers import AutoTokenizer, GPT2LMHeadModel, LlamaForCausalLM

for line in sys.stdin:
    with tempfile.TemporaryFile("w+") as output:
        child = os.fork()
        if not child:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            ended = pytest.main(["-x", "-p", "no:cacheprovider", *json.loads(line)])
            sys.stdout.flush()
            os._exit(ended)
        _, status = os.waitpid(child, 0)
        output.seek(0)
        print(json.dumps([os.waitstatus_to_exitcode(status), output.read()]), flush=True)
"""


class Tree(NamedTuple):
    """A copy of the project to break, and the process that runs its tests."""

    folder: Path
    forks: "subprocess.Popen[str]"

    def run(self, *tests: str) -> tuple[int, str]:
        """Return the exit code of pytest and what it printed."""
        assert self.forks.stdin is not None and self.forks.stdout is not None
        print(json.dumps(tests), file=self.forks.stdin, flush=True)
        code, output = json.loads(self.forks.stdout.readline())
        return code, output


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    copy = tmp_path_factory.mktemp("mutations") / "tree"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "docs", "andon-*", "build")
    shutil.copytree(ROOT, copy, ignore=ignored)
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command, pipe = [sys.executable, "-c", FORKS], subprocess.PIPE
    with subprocess.Popen(command, cwd=copy, env=environment, stdin=pipe, stdout=pipe, text=True) as forks:
        yield Tree(copy, forks)
        assert forks.stdin is not None
        forks.stdin.close()


@pytest.mark.parametrize("bug", MUTATIONS, ids=lambda bug: bug.name)
def test_a_known_bug_is_caught(tree: Tree, bug: Bug) -> None:
    before = bug.put_into(tree.folder)
    try:
        code, output = tree.run(bug.caught_by)
    finally:
        (tree.folder / bug.file).write_text(before)
    assert code == 1, f"{bug.name} went unseen:\n{output[-2500:]}"
    # A base is not even opened if the layout of rows is wrong (models/lm/layout.py).
    assert "ERROR" not in output or "a fault of Andon" in output, f"{bug.name} did not run:\n{output[-2500:]}"


def test_the_same_tests_pass_where_nothing_is_broken(tree: Tree) -> None:
    code, output = tree.run(*sorted({bug.caught_by for bug in MUTATIONS}))
    assert code == 0, output[-2500:]
