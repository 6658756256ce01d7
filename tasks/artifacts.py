"""Artifacts that a flow run shows on its page in Prefect. They are for people only: no step reads them.

The store decides what is true, so an artifact that cannot be written is a line in the log and not a failure. Text of
others (file names, evidence with labelers' ids) is shown as code: Prefect's pages read Markdown.
"""

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

from prefect import artifacts, task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext

from data.console import say
from data.escape import as_code, one_line
from data.ingest.pipeline import IngestResult
from data.paths import batch_prefix
from data.rounds.status import rounds
from data.runs.champion import champion
from data.runs.registry import find_run
from data.runs.stops import pulls_about
from data.store import Store, open_store
from data.store.manifest import Publication, read_manifest
from data.store.presigned import download_link
from data.store.s3 import S3Store


@task(cache_policy=NO_CACHE)
def show_batch(store_uri: str, campaign: str, batch_id: str) -> None:
    """Show which files of a batch go to labelers."""
    batch = read_manifest(open_store(store_uri), batch_prefix(campaign, batch_id))
    assert batch is not None
    files = [{"send to labelers": batch.address(name)} for name in batch.names() if name.startswith("questions-")]
    description = (
        f"{batch['questions']:,} questions of {batch_id}; links for a vendor: andon export {campaign} --vendor NAME"
    )
    show_artifact(artifacts.create_table_artifact, f"batch-{campaign}", table=files, description=description)


@task(cache_policy=NO_CACHE)
def show_run(store_uri: str, campaign: str, run: str) -> None:
    """Show all rounds of the campaign, and where the report of a run is."""
    store = open_store(store_uri)
    published = find_run(store, campaign, run)
    link, place = _link(store, published, "report.html")
    show_artifact(
        artifacts.create_link_artifact, f"report-{campaign}", link=link, link_text=f"Report of {run}", description=place
    )
    leader = champion(store, campaign)
    table = [
        {
            "round": turn.number,
            "questions": turn.questions,
            "labels": turn.labels,
            "run": turn.run or "",
            "win rate": "" if turn.win_rate is None else f"{turn.win_rate:.3f}",
            "waits for": turn.waits_for,
            "since": turn.since[:16].replace("T", " "),
        }
        for turn in rounds(store, campaign)
    ]
    description = f"Rounds of {campaign}. Champion: {leader or 'the base'}."
    show_artifact(artifacts.create_table_artifact, f"rounds-{campaign}", table=table, description=description)


def show_ingested(store: Store, campaign: str, file: str, outcome: IngestResult, report: Publication | None) -> None:
    """Show what a delivery added, what its answers are worth, and what a person should do next."""
    lines = [
        f"# {outcome.batch}: {outcome.decision}",
        f"{as_code(file)}: {outcome.accepted:,} accepted, {outcome.quarantined:,} quarantined, "
        f"{outcome.duplicates:,} duplicates.",
        *(f"- **{finding['fault']}**: {as_code(str(finding['evidence']))}" for finding in outcome.findings),
        *(f"- quarantined {count:,}: {as_code(reason)}" for reason, count in outcome.reasons.items()),
    ]
    if outcome.decision != "accept":
        lines.append("Nothing is trained on these labels until a person decides:")
        lines.append(as_code(f"andon decide {campaign} {outcome.batch} accept --reason ...") + " (or reject)")
    if report is not None:
        link, place = _link(store, report, "report.html")
        lines.append(f"[Quality report]({link}): {place}")
    show_artifact(artifacts.create_markdown_artifact, f"labels-{campaign}", markdown="\n\n".join(lines))


def show_refused(campaign: str, key: str, reason: str) -> None:
    """Show that a delivery was refused, and why."""
    accept = as_code(f"andon ingest {campaign} FILE --despite ...")
    next_step = f"The vendor delivers another file, or a person accepts this one: {accept}"
    markdown = "\n\n".join(["# Refused", as_code(key), as_code(reason), next_step])
    show_artifact(artifacts.create_markdown_artifact, f"refused-{campaign}", markdown=markdown)


def show_pulls(store: Store, campaign: str, run: str) -> None:
    """Show which people and sentinels stopped a run, and why."""
    pulls = pulls_about(store, campaign, run)
    table = [
        {
            "pull": pulled.pull.pull,
            "by": pulled.pull.by,
            "reason": one_line(pulled.pull.reason),
            "update": pulled.pull.evidence.get("update", ""),
            "released by": "" if pulled.release is None else pulled.release.by,
        }
        for pulled in pulls
    ]
    if table:
        description = f"Pulls of the cord that stop {run}"
        show_artifact(artifacts.create_table_artifact, "cord", table=table, description=description)


def show_artifact(make: Callable[..., Any], key: str | None = None, **content: Any) -> UUID | None:
    """Make or change an artifact of the current flow run; None if no flow runs."""
    if FlowRunContext.get() is None:
        return None
    named = {} if key is None else {"key": re.sub(r"[^a-z0-9]+", "-", key.lower())}
    try:
        made: UUID = make(**named, **content)
    except Exception as error:  # the server is away, or busy for longer than the client of Prefect waits
        say(f"page: the artifact was not written: {one_line(str(error))[:200]}")
        return None
    return made


def _link(store: Store, published: Publication, name: str) -> tuple[str, str]:
    """Return a link to a published file that a browser can follow, and the place of the file."""
    address = published.address(name)
    if not isinstance(store, S3Store):
        return f"file://{address}", f"on the worker's disk: {address}"
    link = download_link(store, published.key(name))
    return link.url, f"{address}; the link works until {link.ends}"
