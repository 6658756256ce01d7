"""`andon export`: a batch of questions for labelers, new ones or some again, or a comparison of two systems."""

from typing import Annotated

import typer

from data.campaign import load_campaign
from data.cord.cord import check
from data.errors import Refused
from data.evaluation.systems import find_systems
from data.exchange.registry import listing, question_writer, question_writers
from data.paths import comparisons_of
from data.rounds.rework import publish_rework
from data.store import open_store
from flows.cli.app import app
from flows.cli.environment import prepare
from flows.cli.options import STORE, Base, Json, Name, Preset, StoreUri
from flows.cli.output import finish


@app.command()
def export(
    campaign: Name,
    questions: Annotated[int | None, typer.Option("--questions", min=1, help="How many questions to ask.")] = None,
    store: StoreUri = STORE,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The seed of the queries and samples.")] = 0,
    base: Base = None,
    preset: Preset = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format", help=f"Also write {listing(question_writers())}. This option may be given several times."
        ),
    ] = None,
    vendor: Annotated[
        str | None,
        typer.Option("--vendor", help="Print links with deadlines for this vendor. The store must be in S3."),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--compare",
            metavar="A B",
            help="Ask people which of two systems is better. Systems have the names that `andon evaluate` uses. "
            "Nothing is trained on the answers.",
        ),
    ] = None,
    rework: Annotated[
        str | None,
        typer.Option("--rework", metavar="BATCH", help="Ask the held or rejected questions of this batch again."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Sample questions, and write the files for labelers."""
    settings = load_campaign(campaign, preset, {"base": base} if base else None)
    name, opened = settings.name, open_store(store)
    for format_name in formats or []:
        question_writer(format_name)
    if vendor is not None:
        from data.store.presigned import in_s3

        in_s3(opened)  # refused before anything is sampled
    if compare is not None:
        if rework is not None:
            raise Refused("--compare and --rework exclude each other: give one of them.")
        if questions == 1:
            raise Refused("--questions is 1, but a comparison of two systems needs two or more questions.")
        find_systems(opened, settings, compare)
    prepare(store)
    from flows.cli.handoff import hand_off, handoff_lines
    from flows.compare import compare as compare_systems
    from flows.export_batch import export_batch

    if rework is not None:
        check(opened, name)
        batch = publish_rework(opened, settings, rework)
    elif compare is None:
        batch = export_batch(campaign, store, questions, seed, base, preset)
    else:
        batch = compare_systems(campaign, store, *compare, questions, seed, base, preset)
    handoff = hand_off(store, name if compare is None else comparisons_of(name), batch, formats or [], vendor)
    finish(handoff.document(), as_json, handoff_lines(handoff, campaign, store))
