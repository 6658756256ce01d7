"""`andon check`: prove a base for a campaign, before labels are bought."""

import typer

from data.base_check.registry import facts_of
from data.campaign import load_campaign
from data.reports.base_check import base_check_lines
from data.store import open_store
from data.store.manifest import read_manifest
from flows.cli.app import app
from flows.cli.environment import prepare
from flows.cli.options import STORE, Base, Json, Name, Preset, StoreUri
from flows.cli.output import finish


@app.command("check")
def check_base(
    campaign: Name, base: Base = None, preset: Preset = None, store: StoreUri = STORE, as_json: Json = False
) -> None:
    """Prove a base for a campaign, before labels are bought.

    The code that samples, trains and scores is compared with the base's own forward pass. The result is a page in the
    store. Export, round and retrain need a check that passed, and run it if there is none. The exit code is 1 if the
    base fails.
    """
    load_campaign(campaign, preset)
    prepare(store)
    from flows.check import check

    published = read_manifest(open_store(store), check(campaign, store, base, preset))
    assert published is not None
    facts, report = facts_of(published), published.address("report.html")
    finish(facts | {"report": report}, as_json, base_check_lines(facts, report))
    if not facts["passed"]:
        raise typer.Exit(1)
