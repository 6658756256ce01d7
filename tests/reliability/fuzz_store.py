"""Random faults in the files of a store, and every command that reads: never a traceback, a hang or a lost answer.

A store that two rounds left is copied, one thing in it is changed, and some commands read it. There are three kinds of
changes. A *foreign name* is a file that Andon did not write; no command but `doctor` may take notice of it. A *damaged
file* has other bytes than were written. A *wrong document* has a valid seal and a value of the wrong kind, as somebody
with write access, or another version, would write it. Damage must end in one line that says what to do.

    python -m tests.reliability.fuzz_store SECONDS SEED
"""

import contextlib
import io
import json
import os
import random
import secrets
import shutil
import signal
import sys
import tarfile
import tempfile
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple
from unittest.mock import patch

from data.batches.index import batches
from data.canonical import canonical_json, seal
from data.cord.cord import pull
from data.page.accounts import add
from data.page.answers import questions, save
from data.store import LocalStore
from flows.cli import main as command_line
from tests.support.old_store import ARCHIVE, CAMPAIGN

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE_S = 300  # a command that takes longer hangs; the slowest takes some seconds
FOREIGN = (
    *("Thumbs.db", "desktop.ini", ".DS_Store", "README", "README.md", "index.html", "lost+found", "._manifest.json"),
    *("manifest.json~", "manifest.json.bak", "0000000001.json.tmp", "0000000001 (1).json", "1.json", "x.json", "None"),
    *("q1.True.json", "q1.-1.json", "q1.json", "\u00e4.json", " ", "-rf", "a\nb", "\u202e.json", ".nfs0001", "con"),
)
READERS = (
    ("status",),
    ("status", "--json"),
    ("cord",),
    ("explain", "RUN"),
    ("explain", "BATCH"),
    ("report", CAMPAIGN),
    ("quality", "tiny.toml"),
    ("plan", "tiny.toml"),
    ("labelers", "list"),
    ("label", "tiny.toml", "--collect"),
    ("dataset", "tiny.toml", "trl", "OUT"),
    ("metrics", "tiny.toml", "--tensorboard", "OUT"),
    ("doctor",),
    ("doctor", "--verify"),
)
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**63, 10**400, 1.5, -0.0, 1e308, "", " ", "x", "\x00", "../../etc/passwd", "/"),
    *("\u202e", "a" * 5_000, [], [[]], {}, {"": None}, [None, 1, "x"], "2026-13-45T99:00:00", "NaN", "1", [True]),
)


class Result(NamedTuple):
    """How one command ended."""

    code: int
    out: str
    err: str
    fault: str  # a traceback, or empty


class Hang(BaseException):
    """A command took longer than PATIENCE_S."""


def template(folder: Path) -> Path:
    """Unpack a store of two rounds with a base and a campaign, and add a pull and a labeler; return the folder."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    store = LocalStore(folder / "store")
    add(store, "ada", ["label", "pull", "release"])
    pull(store, "it praises murder", by="ada")
    batch = batches(store, CAMPAIGN)[0]
    for question in list(questions(batch).values())[:3]:
        answer = {"question_id": question.question_id, "content_sha256": question.content_sha256, "best": 0}
        answer |= {"labeler_id": "ada", "answered_at": NOW.isoformat()}
        save(store, CAMPAIGN, batch["batch"], 1, answer)
    return folder


def run(arguments: tuple[str, ...], store: Path) -> Result:
    """Run one command on a store in this process."""
    out, err, code, fault = io.StringIO(), io.StringIO(), 0, ""

    def alarm(number: int, frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, alarm)
    signal.alarm(PATIENCE_S)
    try:
        with (
            patch.object(sys, "argv", ["andon", *arguments, "--store", str(store)]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            command_line.main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except Hang:
        fault = f"took longer than {PATIENCE_S} s"
    except Exception:
        fault = traceback.format_exc()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    if "Traceback" in err.getvalue():
        fault = err.getvalue()
    return Result(code, out.getvalue(), err.getvalue(), fault)


def add_foreign(draw: random.Random, store: Path) -> str:
    """Put something that Andon did not write into a folder of the store; return what was done."""
    folder = draw.choice([path for path in store.rglob("*") if path.is_dir()])
    path = folder / draw.choice(FOREIGN)
    kind = draw.choice(["file", "empty", "folder", "pipe", "link", "dangling link"])
    if path.exists() or path.is_symlink():
        return "nothing: the name is taken"
    match kind:
        case "file":
            path.write_bytes(draw.randbytes(100))
        case "empty":
            path.touch()
        case "folder":
            path.mkdir()
            (path / "x").touch()
        case "pipe":
            os.mkfifo(path)
        case "link":
            path.symlink_to(store / "campaigns")
        case _:
            path.symlink_to("/nowhere/at/all")
    return f"{kind} {path.relative_to(store)!s}"


def damage(draw: random.Random, store: Path) -> str:
    """Change the bytes of a file, or remove it; return what was done."""
    path = draw.choice(sorted(path for path in store.rglob("*") if path.is_file()))
    content = path.read_bytes()
    kind = draw.choice(["cut", "flip", "garbage", "empty", "deep", "remove", "pipe", "folder"])
    path.unlink()
    match kind:
        case "cut":
            path.write_bytes(content[: draw.randrange(len(content) + 1)])
        case "flip" if content:
            at = draw.randrange(len(content))
            path.write_bytes(content[:at] + bytes([content[at] ^ (1 << draw.randrange(8))]) + content[at + 1 :])
        case "garbage":
            path.write_bytes(draw.randbytes(draw.randrange(1, 2_000)))
        case "deep":
            path.write_bytes(b"[" * 100_000 + b"]" * 100_000)
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "empty" | "flip":
            path.touch()
        case _:
            pass
    return f"{kind} {path.relative_to(store)}"


def misstate(draw: random.Random, store: Path) -> str:
    """Put an odd value into a sealed document, or take one away, and seal it again; return what was done."""
    while True:
        path = draw.choice(sorted(store.rglob("*.json")))
        try:
            document = json.loads(path.read_bytes())
        except ValueError:
            continue
        if isinstance(document, dict) and "sha256" in document:
            break
    del document["sha256"]
    done = _change(draw, document)
    with contextlib.suppress(ValueError):
        canonical_json(document)
        path.unlink()
        path.write_bytes(seal(document))
    return f"{path.relative_to(store)}: {done}"


def _change(draw: random.Random, document: dict[str, Any]) -> str:
    """Change one value somewhere in a document."""
    where, node = "", document
    while True:
        name = draw.choice(sorted(node)) if node else ""
        child = node.get(name)
        if isinstance(child, list) and child and isinstance(child[0], dict) and draw.random() < 0.7:
            where, node = f"{where}.{name}[0]", child[0]
        elif isinstance(child, dict) and child and draw.random() < 0.8:
            where, node = f"{where}.{name}", child
        else:
            break
    if draw.random() < 0.25:
        node.pop(name, None)
        return f"{where}.{name} removed"
    value = draw.choice(ODD)
    node[name] = value
    return f"{where}.{name} = {str(value)[:40]!r}"


@contextlib.contextmanager
def copied(original: Path) -> Iterator[Path]:
    """Copy a store by hard links (changes replace files, and never write into them)."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(original, Path(folder) / "store", copy_function=os.link)
        yield Path(folder) / "store"


def named(arguments: tuple[str, ...], store: Path, out: Path) -> tuple[str, ...]:
    runs = sorted(path.name for path in (store / "campaigns" / CAMPAIGN / "runs").iterdir() if path.is_dir())
    batches = sorted(path.name for path in (store / "campaigns" / CAMPAIGN / "batches").iterdir() if path.is_dir())
    names = {"RUN": runs[0], "BATCH": batches[0], "OUT": str(out / secrets.token_hex(4))}
    return tuple(names.get(word, word) for word in arguments)


def trial(draw: random.Random, original: Path, readers: int) -> list[str]:
    """Change one copy of the store and read it; return the faults."""
    change = draw.choice([add_foreign, damage, misstate, misstate])
    commands = draw.sample(READERS, readers)
    faults = []
    with copied(original) as store, tempfile.TemporaryDirectory() as out:
        commands = [named(command, store, Path(out)) for command in commands]
        sound = {}
        if change is add_foreign:
            with copied(original) as other:
                sound = {command: run(command, other) for command in commands if command[0] != "doctor"}
        done = change(draw, store)
        for command in commands:
            result = run(command, store)
            if result.fault:
                faults.append(f"{done}\n  andon {' '.join(command)}\n{result.fault}")
            elif command in sound and result.code != sound[command].code:
                faults.append(f"{done}\n  andon {' '.join(command)} ended with {result.code}: {result.err}")
    return faults


def main(seconds: float, seed: int) -> int:
    """Try changes until the time is over; return 1 if a command failed."""
    trials, faults = 0, list[str]()
    ends = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(template(Path(folder))):
        while time.monotonic() < ends:
            found = trial(random.Random(f"{seed} {trials}"), Path("store").absolute(), 3)
            for fault in found:
                print(f"trial {trials}: {fault}", flush=True)
            faults += found
            trials += 1
    print(f"{trials} changed stores, {len(faults)} faults")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2])))
