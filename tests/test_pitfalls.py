"""docs/pitfalls.md promises a test for each pitfall: every one that it names exists."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "pitfalls.md").read_text()


def test_every_test_that_the_page_names_exists() -> None:
    written = set(re.findall(r"^def (test_\w+)", "".join(p.read_text() for p in (ROOT / "tests").rglob("*.py")), re.M))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 30 and not named - written


def test_every_number_is_there_once_or_excused() -> None:
    rows = [int(number) for number in re.findall(r"^\| (\d+) \|", PAGE, re.M)]
    excused = [int(number) for number in re.findall(r"\d+", PAGE.split("so not here:")[1])]
    assert sorted(rows + excused) == list(range(1, 53))
