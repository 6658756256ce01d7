"""How a command ends: with lines for people or one JSON object for scripts, and with one line if it was refused."""

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import NoReturn

from data.errors import Refused


def finish(result: Mapping[str, object], as_json: bool, lines: list[str]) -> None:
    """End a command: lines for people, or one JSON object for scripts; raise Refused if they cannot be written."""
    if sys.stdout is None:  # closed by the process that started this one
        return
    try:
        sys.stdout.write((json.dumps(result, default=str) if as_json else "\n".join(lines)) + "\n")
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python tries again when it ends
        if not isinstance(error, BrokenPipeError):  # its reader has seen enough
            raise Refused(f"Standard output cannot be written: {error.strerror}.") from error


def refuse(reason: str, code: int, as_json: bool) -> NoReturn:
    """End a command that was refused: one line for people, and with --json an object for scripts too."""
    sys.stderr.write(f"andon: {reason}\n")
    if as_json:
        with suppress(Refused):
            finish({"refused": reason}, True, [])
    sys.exit(code)


def minute(at: str) -> str:
    """Show a time of a log, which is in UTC, to the minute."""
    return at[:16].replace("T", " ")
