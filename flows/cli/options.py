"""The arguments and options that several commands share, and the hints that name them."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

STORE = "andon-store"


class Call:
    """How the command line was called: what its end must know, also when a command was refused."""

    as_json = False


def _remember(ctx: typer.Context, as_json: bool) -> bool:
    ctx.ensure_object(Call).as_json = as_json
    return as_json


Name = Annotated[str, typer.Argument(help="A shipped campaign, or the path of a .toml file.", metavar="CAMPAIGN")]
InStore = Annotated[
    str, typer.Argument(help="The name of a campaign in the store, or the path of its .toml file.", metavar="CAMPAIGN")
]
StoreUri = Annotated[str, typer.Option("--store", help="The folder or s3://bucket/prefix that contains everything.")]
Json = Annotated[
    bool,
    typer.Option("--json", callback=_remember, is_eager=True, help="End standard output with one JSON object."),
]
Base = Annotated[str | None, typer.Option("--base", help="`embedded`, a checkpoint folder, or a name on the hub.")]
Preset = Annotated[
    str | None, typer.Option("--preset", help="Settings that the campaign's file has under a name, such as code-124m.")
]
Launch = Annotated[
    Path | None,
    typer.Option(
        "--launch",
        exists=True,
        dir_okay=False,
        help="An accelerate config: train in several processes, for example on several GPUs.",
    ),
]
Reason = Annotated[str, typer.Option("--reason", help="The reason, which is recorded.")]
By = Annotated[str | None, typer.Option("--by", help="Your name. The default is the name of your login.")]
DespiteChanges = Annotated[
    str | None,
    typer.Option(
        "--despite",
        help="The reason to train although the campaign changed since its labels were asked for. It is recorded.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The seed of weights, orders and samples.")]


def hint(store: str, *words: object) -> str:
    """Return a command that can be pasted into a shell; the reader replaces words in capitals and `...`."""
    command = ["andon", *map(str, words), *(["--store", store] if store != STORE else [])]
    return " ".join(word if word == "..." else shlex.quote(word) for word in command)
