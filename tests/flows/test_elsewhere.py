"""Commands where users, terminals and pipes are others than ours: a container's user, no UTF-8, a disk that is full."""

import getpass
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import pytest

from data.canonical import plain
from data.errors import Refused
from data.store.user_state import state_folder, username
from tests.support.vendor import Round

ROOT = Path(__file__).resolve().parents[2]
NO_UTF8 = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def andon(
    *arguments: str,
    stdout: int | IO[Any] = subprocess.PIPE,
    closed: bool = False,
    environment: Mapping[str, str] = {},
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": ""} | dict(environment),
        stdout=stdout,
        stderr=subprocess.PIPE,
        preexec_fn=(lambda: os.close(1)) if closed else None,
    )


def nobody(*_: object) -> str:
    raise KeyError("getpwuid(): uid not found: 12345")


def homeless() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_a_user_id_without_a_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", nobody)
    assert username() == "unknown"


def test_a_user_without_a_home_has_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("ANDON_STATE")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    folder = state_folder()
    assert folder == state_folder() and folder.parent.parent == tmp_path
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(Refused, match="set ANDON_STATE"):
        state_folder()


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("status",), ("status", "--json"), ("report", "none", "--json")])
def test_output_that_nobody_can_take_is_no_traceback(arguments: tuple[str, ...], sent: Round) -> None:
    command = (*arguments, "--store", sent.store.uri)
    refused = int(arguments[0] == "report")
    read, write = os.pipe()
    os.close(read)
    with open("/dev/full", "wb") as full, os.fdopen(write, "wb") as unread:
        for stdout, code in ((full, 1), (unread, refused)):
            ended = andon(*command, stdout=stdout)
            assert ended.returncode == code, ended.stderr
            lines = ended.stderr.decode().splitlines()
            assert len(lines) == code and all(line.startswith("andon: ") for line in lines)
    ended = andon(*command, closed=True)
    assert ended.returncode == refused and b"Traceback" not in ended.stderr


def test_a_terminal_without_the_signs_of_a_tree_still_shows_it(sent: Round) -> None:
    ended = andon("explain", "b1", "--store", sent.store.uri, environment=NO_UTF8)
    assert ended.returncode == 0 and b"b1" in ended.stdout and not ended.stderr


def test_a_reason_in_a_locale_that_does_not_know_its_letters_is_kept_whole(sent: Round) -> None:
    pulled = andon("pull", "--reason", "praises mörder", "--store", sent.store.uri, "--json", environment=NO_UTF8)
    assert pulled.returncode == 0, pulled.stderr
    (log,) = Path(sent.store.uri).glob("cord/log/*.json")
    assert json.loads(log.read_bytes())["reason"] == "praises mörder"
    assert plain("\ud800 \udcff") == "? ?", "what no command line holds"
