"""docs/bad-input.md is whole: every kind of bad input has a row, and every row a test that is there."""

import ast
import re
from pathlib import Path

from tests.data import test_bad_input
from tests.support import bad_files

ROOT = Path(__file__).resolve().parents[2]
KINDS = 88
LISTED = re.compile(r"(test_\w+)::(test_\w+)((?: \[[^\]]+\])*)")
CASES = {
    "test_a_file_whose_rows_cannot_be_trusted_is_refused": [case[0] for case in bad_files.FILES],
    "test_a_bad_row_is_quarantined_alone_with_its_raw_values": [case[0] for case in bad_files.ROWS],
    "test_what_is_harmless_is_accepted_and_kept_as_it_is": [case[0] for case in test_bad_input.ACCEPTED],
}


def listed() -> dict[int, list[tuple[str, str, list[str]]]]:
    """Return the tests of each kind: file, function, cases."""
    text = (ROOT / "docs" / "bad-input.md").read_text()
    rows = [re.split(r" \| ", line.strip("| ")) for line in text.splitlines() if re.match(r"\| \d", line)]
    assert all(len(row) == 4 for row in rows)
    found = [(int(row[0]), LISTED.findall(row[3])) for row in rows]
    assert [number for number, _ in found] == list(range(1, KINDS + 1))
    return {number: [(f, t, re.findall(r"\[([^\]]+)\]", c)) for f, t, c in tests] for number, tests in found}


def test_every_kind_has_a_test_that_exists() -> None:
    functions = {
        path.stem: {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
        for path in (ROOT / "tests").rglob("test_*.py")
    }
    for number, tests in listed().items():
        assert tests, number
        for file, test, cases in tests:
            assert test in functions[file], (number, test)
            assert set(cases) <= set(CASES.get(test, [])), (number, test)
            assert cases or test not in CASES, (number, "which cases?")
            assert all(int(case.split()[0]) == number for case in cases), (number, cases)


def test_every_case_is_in_the_map() -> None:
    named = {(test, case) for tests in listed().values() for _, test, cases in tests for case in cases}
    assert named == {(test, case) for test, cases in CASES.items() for case in cases}
