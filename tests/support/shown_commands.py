"""The commands that README and docs show, and a parser for each program that they name.

A command is a line of an indented block or of a fenced `sh` block, or inline code that begins with the name of a
program. Fenced blocks of other languages, or of none, hold output and settings.
"""

import argparse
import importlib.util
import re
import runpy
import shlex
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from unittest import mock

import typer

from flows.cli import main as command_line

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "base/README.md", *(ROOT / "docs").rglob("*.md")])
PROGRAMS = ("andon", "make", "python", "prefect", "pip", "accelerate", "pytest")
SHELL = ("cd", "cp", "export", "sed")
OTHER_PACKAGES = ("pytest", "pip", "accelerate")  # their flags are not ours to check
NUMBER = re.compile(r"K(\+1)?|N")  # placeholders of numbers; others are in capitals too, and are texts


class Shown(NamedTuple):
    """A command as a page shows it."""

    page: str
    text: str
    inline: bool


def markdown_blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the language and the lines of each block of code: `indented`, or that of its fence, or "" without one."""
    language: str | None = None
    lines: list[str] = []
    for line in [*text.splitlines(), "end"]:
        if line.strip().startswith("```"):
            if language not in (None, "indented"):
                yield str(language), lines
                language, lines = None, []
            else:
                language, lines = line.strip().removeprefix("```").strip(), []
        elif language not in (None, "indented"):
            lines.append(line)
        elif line.startswith("    "):
            language = "indented"
            lines.append(line.strip())
        elif language == "indented" and line.strip():
            yield language, lines
            language, lines = None, []


def prose(text: str) -> str:
    """Return the text of a page without its blocks of code."""
    fenced = re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)
    return "\n".join(line for line in fenced.splitlines() if not line.startswith("    "))


def inline_codes(text: str) -> list[str]:
    """Return the inline code of a page, without line breaks."""
    return [re.sub(r"\s+", " ", code) for code in re.findall(r"`([^`]+)`", prose(text))]


def shown_commands(page: Path) -> list[Shown]:
    """Return every command that a page shows, in its order; a line may hold several."""
    text, name = page.read_text("utf-8"), str(page.relative_to(ROOT))
    commands = []
    for language, lines in markdown_blocks(text):
        if language in ("indented", "sh"):
            joined = "\n".join(lines).replace("\\\n", " ")
            commands += [Shown(name, line, False) for line in joined.splitlines() if line.strip()]
    named = re.compile(rf"(\S*/)?({'|'.join(PROGRAMS)}) ")
    return commands + [Shown(name, code, True) for code in inline_codes(text) if named.match(code)]


def words_of(text: str) -> list[list[str]]:
    """Split a line as a shell does: into commands at `;` and `&&`, without comments, assignments and redirections."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&>|")
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    words = iter(lexer)
    for word in words:
        if set(word) <= set(";&|"):
            commands.append([])
        elif word == ">":
            next(words)
        elif commands[-1] or not re.match(r"\w+=", word):
            commands[-1].append(word)
    return [command for command in commands if command]


def check(shown: Shown) -> None:
    """Raise AssertionError if a program would refuse a command, or if nobody knows the program."""
    for program, *arguments in words_of(shown.text):
        name = program.rsplit("/", 1)[-1]
        if name == "andon":
            _check_andon(arguments, shown)
        elif name == "make":
            assert set(arguments) <= make_targets(), f"{shown}: the Makefile has no such target"
        elif name == "python":
            _check_python(arguments, shown)
        elif name in ("cp", "sed"):
            paths = [word for word in arguments if "/" in word and not word.isupper() and "prefers" not in word]
            assert all((ROOT / path).exists() for path in paths if not path.startswith("FOLDER")), shown
        else:
            assert name in (*PROGRAMS, *SHELL), f"{shown}: a program that this test does not know"


def make_targets() -> set[str]:
    """Return the targets of the Makefile."""
    return set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))


def andon_options() -> set[str]:
    """Return every option of every andon command."""

    def of(command: Any) -> set[str]:
        own = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        context = typer.Context(command)
        inner = [
            command.get_command(context, name) for name in getattr(command, "list_commands", lambda _: [])(context)
        ]
        return own.union(*map(of, inner))

    return of(root_command()) | {"--help"}


def root_command() -> Any:
    """Return `andon` as typer parses it."""
    return typer.main.get_command(vars(command_line)["app"])


def _check_andon(arguments: list[str], shown: Shown) -> None:
    """Parse a command with the command line itself; inline code may name a command without its arguments."""
    command: Any = root_command()
    rest = ["1" if NUMBER.fullmatch(word) else word for word in arguments]
    parent, name = None, "andon"
    try:
        while hasattr(command, "list_commands"):
            if shown.inline and not rest:
                return
            if rest and rest[0] in {option for p in command.params if p.callback for option in p.opts} | {"--help"}:
                return  # such an option acts as soon as it is parsed, as --install-completion does
            parent = command.make_context(name, rest, parent=parent, resilient_parsing=not rest)
            name, command, rest = command.resolve_command(parent, [*parent._protected_args, *parent.args])
        if rest != ["--help"]:
            command.make_context(name, rest, parent=parent)
    except SystemExit as ended:
        raise AssertionError(f"{shown}: exit code {ended.code}") from ended
    except Exception as error:
        names_only = type(error).__name__ == "MissingParameter" or "requires an argument" in str(error)
        if shown.inline and names_only:
            return
        raise AssertionError(f"{shown}: {type(error).__name__}: {error}") from error


def _check_python(arguments: list[str], shown: Shown) -> None:
    """A module must be importable, run as a program, and know the flags; a file must exist."""
    if arguments[0] != "-m":
        folder = ROOT / Path(shown.page).parent
        assert any((place / arguments[0]).is_file() for place in (folder, ROOT)), f"{shown}: no such file"
        return
    module, flags = arguments[1], [word for word in arguments[2:] if word.startswith("-")]
    spec = importlib.util.find_spec(module) if module.split(".")[0] in OTHER_PACKAGES or _file(module) else None
    assert spec is not None, f"{shown}: no module {module}"
    if module.split(".")[0] not in OTHER_PACKAGES:
        source = _file(module).read_text("utf-8")
        assert '__name__ == "__main__"' in source, f"{shown}: {module} is not a program"
        if "parse_args" in source:
            _parse_only(module, ["1" if NUMBER.fullmatch(word) else word for word in arguments[2:]], shown)
        else:
            assert not flags, f"{shown}: {module} has no flags"


class _Parsed(Exception):
    """The arguments of a program were accepted."""


def _parse_only(module: str, arguments: list[str], shown: Shown) -> None:
    """Start a program as `python -m` does, and end it when its parser has accepted the arguments."""
    parse = argparse.ArgumentParser.parse_args

    def parse_and_end(parser: argparse.ArgumentParser, *given: Any, **options: Any) -> NoReturn:
        parse(parser, *given, **options)
        raise _Parsed

    with (
        warnings.catch_warnings(action="ignore"),  # runpy's, if another test has imported the module
        mock.patch.object(argparse.ArgumentParser, "parse_args", parse_and_end),
        mock.patch.object(sys, "argv", [module, *arguments]),
    ):
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=False)
        except _Parsed:
            return
        except SystemExit as ended:
            raise AssertionError(f"{shown}: exit code {ended.code}") from ended
    raise AssertionError(f"{shown}: {module} parses no arguments")


def _file(module: str) -> Any:
    """Return the file of a module of ours that is run with -m, or None."""
    path = ROOT.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__main__.py") if file.is_file()), None)
