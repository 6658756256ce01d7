"""Commands that read a store or decide about it: none waits for torch, but `plan --measure`, which trains."""

from pathlib import Path
from typing import Annotated

import typer

from data.reports import lineage_chart
from data.rounds import lineage
from data.store import open_store
from flows.cli.options import STORE, Json, StoreUri, app, finish
from flows.cli.output import Result, status_lines, status_result


@app.command()
def status(store: StoreUri = STORE, as_json: Json = False) -> None:
    """Show all rounds and what each waits for."""
    result = status_result(store)
    finish(result, as_json, status_lines(result))


@app.command()
def explain(
    wanted: Annotated[
        str, typer.Argument(help="a run, label set, batch, file, label, or champion; its beginning does", metavar="ID")
    ],
    store: StoreUri = STORE,
    picture: Annotated[Path | None, typer.Option("--picture", help="also draw it, as an SVG file")] = None,
    as_json: Json = False,
) -> None:
    """Show what something was made from, down to the vendor's files, and what was made from it."""
    campaign, graph, node = lineage.find(open_store(store), wanted)
    before, after = lineage.ancestors(graph, node), lineage.descendants(graph, node)
    if picture is not None:
        picture.write_text(lineage_chart.lineage([*before, *after], node.id), "utf-8")
    lines = [f"campaign {campaign}", *lineage.tree(graph, node)]
    lines += ["became part of:", *(f"  {each.kind} {each.id}  {each.text}" for each in after)] if after else []
    result: Result = {"campaign": campaign, "id": node.id, "kind": node.kind}
    finish(
        result | {"made_from": [n._asdict() for n in before], "became": [n._asdict() for n in after]}, as_json, lines
    )
