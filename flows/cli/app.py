"""The table of contents of the command line: every command with its group, its sentence, and the module that has it.

`andon --help` and shell completion read this table alone. A command's module is imported when the command is called,
because some need seconds for the libraries that they stand on.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module, metadata
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup


class Entry(NamedTuple):
    """A command in the table of contents."""

    module: str  # in flows/cli
    summary: str  # the first paragraph of the command's own help


CONTENTS: Mapping[str, Mapping[str, Entry]] = {
    "Run rounds": {
        "demo": Entry("rounds", "Run two rounds with simulated labelers, and show what they achieved."),
        "round": Entry("rounds", "Run the round that is due, as far as labels are available."),
        "plan": Entry("plan", "Predict what a batch costs and how much it teaches, before you pay for it."),
        "check": Entry("check", "Prove a base for a campaign, before labels are bought."),
        "export": Entry("export", "Sample questions, and write the files for labelers."),
        "retrain": Entry("rounds", "Train a reward model and a policy from the base on all labels that count."),
        "evaluate": Entry("evaluation", "Compare systems on held-out queries, or evaluate a finished run again."),
        "sheet": Entry("evaluation", "Write a blind sheet to check summaries for accuracy, or import a completed one."),
        "rebuild": Entry("evaluation", "Train a finished run again from its manifest, and compare the weights."),
    },
    "Labels": {
        "ingest": Entry("ingest", "Validate an answer file, and add its answers to the labels."),
        "deliver": Entry("ingest", "Put an answer file into the inbox, and notify the Prefect server."),
        "import": Entry("ingest", "Import a label file published with the paper of 2019."),
        "quality": Entry("labels", "Write the quality reports of a batch and of all vendors."),
        "dataset": Entry("labels", "Write labels as a file for another trainer."),
    },
    "Decisions": {
        "pull": Entry("cord", "Pull the cord: stop the line."),
        "release": Entry("cord", "Release a pull, so that stopped commands can run again."),
        "cord": Entry("cord", "List all pulls of the cord and their releases."),
        "decide": Entry("labels", "Decide whether the labels of a batch, or of one labeler, count."),
        "promote": Entry("champion", "Make the policy of a run the champion."),
        "rollback": Entry("champion", "Make the previous champion the champion again."),
    },
    "Labeling page": {
        "label": Entry("page", "Serve the labeling page and the live wall."),
        "labelers": Entry("page", "List, add and remove the people who may use the labeling page."),
    },
    "Operations": {
        "status": Entry("status", "Show the rounds of every campaign, and what each one waits for."),
        "explain": Entry("status", "Show what a run, label set, batch or label was made from."),
        "report": Entry("reports", "Write the report of a run or of a campaign."),
        "metrics": Entry("reports", "Copy the metrics of finished runs to TensorBoard or MLflow."),
        "doctor": Entry("doctor", "Check the installation, the store, the cord and the leases."),
    },
}
ENTRIES = {name: entry for commands in CONTENTS.values() for name, entry in commands.items()}


class FullSentences(TyperGroup):
    """A group whose help wraps the sentences of its commands instead of cutting them off."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for title, rows in self.sections(ctx):
            with formatter.section(title):
                formatter.write_dl(rows)

    def sections(self, ctx: Any) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """Yield each title of the listing with the names and sentences below it."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        yield "Commands", [(name, _first_paragraph(command)) for name, command in commands.items()]


def _first_paragraph(command: Any) -> str:
    return " ".join((command.help or "").split("\n\n")[0].split())


class Contents(FullSentences):
    """The root of the command line, which knows its commands by the table and imports the one that is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(ENTRIES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in ENTRIES:
            return None
        if cmd_name not in self.commands:
            import_module(f"flows.cli.{ENTRIES[cmd_name].module}")
            self.commands.update(typer.main.get_group(app).commands)
        return self.commands[cmd_name]

    def sections(self, ctx: Any) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        width = max(map(len, ENTRIES))
        for title, commands in CONTENTS.items():
            yield title, [(name.ljust(width), entry.summary) for name, entry in commands.items()]

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        listed = {name: TyperCommand(name, help=entry.summary) for name, entry in ENTRIES.items()}
        group = TyperGroup(name=self.name, commands={**listed}, params=self.params)
        return group.shell_complete(typer.Context(group, info_name=ctx.info_name), incomplete)


app = typer.Typer(
    cls=Contents,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(version: bool) -> None:
    if version:
        typer.echo(f"andon {metadata.version('andon')}")
        raise typer.Exit


@app.callback()
def andon(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """RLHF in batched rounds: sample, export, label, ingest, retrain from the base, evaluate, promote."""
