"""Every command, option, file and variable that README and docs show exists and would be accepted."""

import os
import re
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest

from tests.support.shown_commands import (
    PAGES,
    ROOT,
    Shown,
    andon_options,
    check,
    inline_codes,
    make_targets,
    prose,
    shown_commands,
    words_of,
)

CODE = ("flows", "tasks", "models", "data", "web", "base", "bench", "tests", "deploy", "campaigns", "docs")
MADE = ("base/build/", "docs/by-hand/answers.csv")  # what a command makes, and git ignores
SOURCES = [path for folder in CODE for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".yaml", ".json")]
FOREIGN_OPTIONS = {"--prefix"}  # of other programs


@pytest.fixture(autouse=True)
def _in_the_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # commands name files of the tree


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_that_a_page_shows_would_be_accepted(page: Path) -> None:
    for shown in shown_commands(page):
        check(shown)


def test_every_program_that_the_makefile_starts_would_accept_its_arguments() -> None:
    recipes = re.findall(
        r"^\t(?:\S+=\S+ )*\$\(BIN\)/(python -m (?!pip|pytest).+)$", (ROOT / "Makefile").read_text(), re.M
    )
    assert len(recipes) > 10
    for recipe in recipes:
        check(Shown("Makefile", recipe, False))


@pytest.mark.flow
def test_prefect_knows_the_commands_that_pages_show() -> None:
    flags: dict[tuple[str, ...], set[str]] = {}
    for shown in (shown for page in PAGES for shown in shown_commands(page)):
        for program, *words in words_of(shown.text):
            if program == "prefect":
                words = [word for word in words if word != "--no-prompt"]  # of prefect itself
                command = tuple(takewhile(lambda word: not word.startswith("-"), words[:2]))
                flags.setdefault(command, set()).update(word for word in words if word.startswith("--"))
    assert ("worker", "start") in flags and ("deploy",) in flags
    for command, used in flags.items():
        called = [sys.executable, "-m", "prefect", *command, "--help"]
        done = subprocess.run(called, capture_output=True, text=True, env=os.environ | {"COLUMNS": "200"})
        assert done.returncode == 0 and all(flag in done.stdout for flag in used), (command, used, done.stdout)


def test_commands_are_found_and_wrong_ones_are_refused() -> None:
    commands = [shown for page in PAGES for shown in shown_commands(page)]
    assert {"README.md", "docs/andon.md", "docs/deploy.md"} <= {shown.page for shown in commands}
    assert sum(shown.inline for shown in commands) > 20 and sum(not shown.inline for shown in commands) > 60
    for text in (
        "andon exprot sentiment",
        "andon export sentiment --question 3",
        "andon export sentiment --questions many",
        "andon labelers ad ada",
        "andon --versions",
        "andon",
        "make everything",
        "python -m data.nothing",
        "python -m data.errors",
        "python -m data.reports.dictionary --fast",
        "python -m bench.speed.ingest_scale many",
        "python -m bench.speed.large everything",
        "python nothing.py",
        "rm -r andon-store",
        "cd docs; andon exprot sentiment",
    ):
        with pytest.raises(AssertionError):
            check(Shown("README.md", text, False))
    check(Shown("README.md", "andon ingest", True))
    check(Shown("README.md", "andon decide sentiment BATCH accept --reason ...  # a comment", False))


def test_the_commands_of_continuous_integration_are_in_the_readme() -> None:
    readme = {shown.text.split("#")[0].strip() for shown in shown_commands(ROOT / "README.md")}
    assert {"make test", "make demo"} <= readme
    assert {"make test", "make lint"} <= set((ROOT / ".ci/run").read_text().splitlines())
    assert {"test", "demo", "lint"} <= make_targets()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_option_that_a_page_names_is_one_of_a_command(page: Path) -> None:
    options = {code.split()[0].split("=")[0] for code in inline_codes(page.read_text()) if code.startswith("--")}
    assert options - FOREIGN_OPTIONS <= andon_options(), options - FOREIGN_OPTIONS - andon_options()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_and_link_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    places = (ROOT, page.parent)
    for code in inline_codes(text):
        path = code.rstrip("/")
        ours = re.fullmatch(rf"({'|'.join(CODE)})/[\w./*-]+|\.ci/run|[\w-]+\.(py|toml|txt)", path)
        if ours and not code.startswith(MADE) and path not in ("train.txt", "test.txt", "recipes.toml"):
            there = [found for place in places for found in place.glob(path)]
            assert there or "/" not in path and list(ROOT.glob(f"[a-z]*/**/{path}")), f"{name_of(page)}: {code}"
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        target, _, heading = link.partition("#")
        if not target.startswith(("http:", "https:")):
            file = (page.parent / target) if target else page
            assert file.exists(), f"{name_of(page)}: {link}"
            if heading:
                titles = re.findall(r"^#+ (.+)$", file.read_text(), re.M)
                assert heading in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, link


def test_every_function_that_a_page_names_is_defined() -> None:
    defined = {name for path in SOURCES for name in re.findall(r"(?:def|class) (\w+)", path.read_text())}
    for page in PAGES:
        named = {
            code[:-2].split(".")[-1] for code in inline_codes(page.read_text()) if re.fullmatch(r"[\w.]+\(\)", code)
        }
        assert named <= defined, (name_of(page), named - defined)


def test_contributing_names_every_package_of_data_and_models() -> None:
    files = [file for layer in ("data", "models") for file in ROOT.glob(f"{layer}/*/__init__.py")]
    packages = {f"{file.parent.relative_to(ROOT)}/" for file in files}
    named = set(re.findall(r"^\| `([^`]+)`", (ROOT / "CONTRIBUTING.md").read_text(), re.M))
    assert packages <= named, packages - named


def test_every_variable_of_the_environment_that_a_page_names_is_read() -> None:
    sources = "".join(path.read_text() for path in SOURCES)
    for page in PAGES:
        named = set(re.findall(r"\bANDON_[A-Z_0-9]+", page.read_text()))
        assert all(f"{name}" in sources for name in named), (name_of(page), named)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_page_begins_with_who_it_is_for(page: Path) -> None:
    first = prose(page.read_text("utf-8")).split("\n\n")
    opening = next(part for part in first if not part.startswith("#"))
    assert page.parent == ROOT or re.search(r"\b[Ff]or (people|teams|labelers|vendors|everyone|those)\b", opening), (
        opening
    )
