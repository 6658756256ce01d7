"""What all commands of the command line share: the app, their options, and how each ends."""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from data.campaign import load_campaign
from data.errors import Refused
from data.paths import CAMPAIGNS
from data.store import Store, folders
from flows.cli.output import Result

app = typer.Typer(
    help="RLHF in batched rounds: sample, export, label, ingest, retrain from the base, evaluate, promote.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
Name = Annotated[str, typer.Argument(help="a shipped campaign, or the path of a .toml file", metavar="CAMPAIGN")]
StoreUri = Annotated[str, typer.Option("--store", help="what holds everything: a folder, or s3://bucket/prefix")]
Json = Annotated[bool, typer.Option("--json", help="end standard output with one JSON object")]
Base = Annotated[str | None, typer.Option("--base", help="embedded, a checkpoint folder, or a hub name")]
Preset = Annotated[
    str | None, typer.Option("--preset", help="settings named in the campaign's file, such as code-124m")
]
Launch = Annotated[
    Path | None,
    typer.Option(
        "--launch",
        exists=True,
        dir_okay=False,
        help="an accelerate config: train in several processes, as on many GPUs",
    ),
]
Reason = Annotated[str, typer.Option("--reason", help="why; it is recorded")]
By = Annotated[str | None, typer.Option("--by", help="who; without it, the name you are logged in by")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="of weights, orders and samples")]
STORE = "andon-store"


def finish(result: Result, as_json: bool, lines: list[str]) -> None:
    """End a command: lines for people, or one JSON object for scripts; raise Refused where nobody can take them."""
    if sys.stdout is None:  # closed by who started it
        return
    try:
        sys.stdout.write((json.dumps(result, default=str) if as_json else "\n".join(lines)) + "\n")
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python tries again when it ends
        if not isinstance(error, BrokenPipeError):  # whoever read it has seen enough
            raise Refused(f"Standard output cannot be written: {error.strerror}.") from error


def refuse(why: str, code: int) -> NoReturn:
    """End a command that was refused: one line for people, and with --json an object for scripts too."""
    sys.stderr.write(f"andon: {why}\n")
    if "--json" in sys.argv:
        with suppress(Refused):
            finish({"refused": why}, True, [])
    sys.exit(code)


def name_of(campaign: str, store: Store) -> str:
    """Return the name of a campaign: a shipped one, that of a .toml file, or one that the store has."""
    in_store = not campaign.endswith(".toml") and campaign in folders(store, CAMPAIGNS)
    return campaign if in_store else load_campaign(campaign).name
