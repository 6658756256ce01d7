"""docs/pitfalls.md promises a test for each pitfall: every one that it names exists."""

import re
from pathlib import Path

from tests.support.bugs import BUGS

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "pitfalls.md").read_text()


def test_every_test_that_the_page_names_exists() -> None:
    written = set(re.findall(r"^def (test_\w+)", "".join(p.read_text() for p in (ROOT / "tests").rglob("*.py")), re.M))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 30 and not named - written


def test_every_number_is_there_once_or_excused() -> None:
    rows = [int(number) for number in re.findall(r"^\| (\d+) \|", PAGE, re.M)]
    excused = [int(number) for number in re.findall(r"\d+", PAGE.split("are left out:")[1].split("##")[0])]
    assert sorted(rows + excused) == list(range(1, 53))


def test_every_known_bug_can_still_be_put_into_the_code() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS)
    for bug in BUGS:
        text = (ROOT / bug.file).read_text()
        assert bug.caught_by or bug.step, f"{bug.name}: nobody uses it"
        assert [old for old, _ in bug.changes if old not in text] == [], (
            f"{bug.name}: break the successor in {bug.file}"
        )
