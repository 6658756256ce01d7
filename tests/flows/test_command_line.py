"""The command line as a whole: its table of contents, what it imports, completion, and hints that can be pasted."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from flows.cli.app import CONTENTS, ENTRIES
from flows.cli.main import app
from flows.cli.options import STORE, hint
from tests.support.vendor import Round

ROOT = Path(__file__).resolve().parents[2]
SLOW = {"torch", "prefect", "pandas", "pyarrow", "scipy", "boto3", "numpy", "transformers", "matplotlib"}


def command(name: str) -> Any:
    root: Any = typer.main.get_command(app)
    return root.get_command(typer.Context(root), name)


def shown(*arguments: str, width: int = 80) -> str:
    ran = CliRunner().invoke(app, list(arguments), env={"COLUMNS": str(width)}, prog_name="andon")
    assert ran.exit_code == 0, ran.output
    return ran.stdout


@pytest.mark.parametrize("name", ENTRIES)
def test_the_table_of_contents_says_what_each_command_says_of_itself(name: str) -> None:
    first = (command(name).help or "").split("\n\n")[0].replace("\n", " ")
    assert first == ENTRIES[name].summary and first.endswith("."), "a full sentence"
    assert "..." not in shown(name, "--help").split("Options:")[0].replace("[ARGS]...", "").replace("COMMAND...", "")


@pytest.mark.parametrize("width", [60, 80, 200])
def test_help_lists_every_command_once_in_its_group_and_cuts_no_sentence_off(width: int) -> None:
    text = shown("--help", width=width)
    for title, commands in CONTENTS.items():
        section = text.split(f"{title}:\n")[1].split(":\n")[0]
        listed = re.findall(r"^  ([a-z]+) ", section, re.MULTILINE)
        assert listed == list(commands)
        for entry in commands.values():
            assert entry.summary in " ".join(section.split())
    of_people = " ".join(shown("labelers", "--help", width=width).split())
    assert "Add a person, and show their token once." in of_people and "Their answers remain" in of_people


def test_every_module_of_commands_has_only_those_of_the_table() -> None:
    for name in ENTRIES:
        command(name)
    registered: Any = typer.main.get_group(app)
    assert set(registered.commands) == set(ENTRIES)


def test_help_version_and_completion_import_nothing_slow() -> None:
    for arguments, environment in (
        (["--help"], {}),
        (["--version"], {}),
        ([], {"_ANDON_COMPLETE": "complete_bash", "COMP_WORDS": "andon ex", "COMP_CWORD": "1"}),
    ):
        code = "import sys, atexit\natexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        code += f"sys.argv = ['andon', *{arguments}]\nfrom andon_launcher import main\nmain()"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True
        )
        assert done.returncode == 0 and done.stdout, done.stderr
        assert "typer" in done.stderr and not SLOW & set(done.stderr.split())
    assert done.stdout.split() == ["export", "explain"]


def test_the_version_is_that_of_the_package() -> None:
    assert re.fullmatch(r"andon \d+\.\d+\.\d+\n", shown("--version"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_installed(shell: str, tmp_path: Path) -> None:
    environment = os.environ | {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    code = "import sys\nsys.argv[0] = 'andon'\nfrom andon_launcher import main\nmain()"
    for option in ("--show-completion", "--install-completion"):
        done = subprocess.run(
            [sys.executable, "-c", code, option, shell], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        written = (
            done.stdout
            if option == "--show-completion"
            else "".join(file.read_text() for file in tmp_path.rglob("*") if file.is_file())
        )
        assert "_ANDON_COMPLETE" in written


def test_hints_can_be_pasted_with_the_campaign_as_it_was_given_and_the_store() -> None:
    assert hint(STORE, "ingest", "sentiment", "ANSWERS") == "andon ingest sentiment ANSWERS"
    words = shlex.split(hint("s3://b/p q", "decide", "my own.toml", "b1", "accept", "--reason", "..."))
    assert words == ["andon", "decide", "my own.toml", "b1", "accept", "--reason", "...", "--store", "s3://b/p q"]


def test_a_hint_of_a_refusal_names_the_store(tmp_path: Path) -> None:
    sent = Round(tmp_path, "sentiment")
    for arguments in (("label", "sentiment"), ("dataset", "sentiment", "trl", "x.jsonl")):
        ran = CliRunner().invoke(app, [*arguments, "--store", sent.store.uri])
        refused = str(ran.exception)
        assert refused.endswith(f" --store {shlex.quote(sent.store.uri)}"), refused


@pytest.mark.slow
def test_a_refusal_ends_with_an_object_only_if_json_was_asked_for(andon: Any, tmp_path: Path) -> None:
    assert andon("report", "none", code=1)["message"].startswith("andon: ")
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "report", "--json", "--store", str(tmp_path), "none"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and json.loads(done.stdout)["refused"] in done.stderr
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "report", "--store", str(tmp_path), "--", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and done.stdout == "", "here --json is the name of a run"


def test_flows_never_import_the_command_line() -> None:
    importing = {}
    for file in (ROOT / "flows").glob("*.py"):
        nodes = ast.walk(ast.parse(file.read_text()))
        names = [f"{n.module}.{a.name}" for n in nodes if isinstance(n, ast.ImportFrom) for a in n.names]
        importing[file.name] = [name for name in names if name.startswith("flows.cli")]
    assert len(importing) > 10 and not any(importing.values())
