"""Commands that read a store: `andon status` and `andon explain`. They do not wait for torch."""

from pathlib import Path
from typing import Annotated, Any, TypedDict

import typer

from data.batches.index import batches
from data.cord.cord import open_pulls
from data.escape import one_line
from data.evaluation.gate import under_champion
from data.evaluation.human_evaluation import human_results
from data.ingest.refusal import refusals
from data.labels.table import added, deliveries
from data.measures.intervals import Estimate
from data.paths import CAMPAIGNS, comparisons_of
from data.reports import lineage_chart
from data.rounds import lineage
from data.rounds.status import rounds
from data.runs.champion import champion
from data.runs.leases import holder
from data.runs.registry import runs
from data.store import Store, folders, open_store
from flows.cli.app import app
from flows.cli.options import STORE, Json, StoreUri, hint
from flows.cli.output import finish, minute

MOST_PULLS = 10  # that are shown


class CampaignStatus(TypedDict):
    """What scripts read of a campaign."""

    campaign: str
    champion: str | None
    withdrawn: list[str]  # labels that the champion learned from and that do not count now
    batches: list[str]
    labels: int
    runs: list[str]
    rounds: list[dict[str, Any]]
    training: dict[str, Any] | None
    comparisons: list[dict[str, Any]]
    refused: list[dict[str, str]]


class StoreStatus(TypedDict):
    """What scripts read of a store."""

    store: str
    stopped: list[dict[str, Any]]
    campaigns: list[CampaignStatus]


@app.command()
def status(store: StoreUri = STORE, as_json: Json = False) -> None:
    """Show the rounds of every campaign, and what each one waits for."""
    result = status_result(store)
    finish(result, as_json, status_lines(result, store))


@app.command()
def explain(
    wanted: Annotated[
        str,
        typer.Argument(
            help="A run, label set, batch, file or label, or `champion`. The beginning of an id is enough.",
            metavar="ID",
        ),
    ],
    store: StoreUri = STORE,
    picture: Annotated[Path | None, typer.Option("--picture", help="Also draw the graph into this SVG file.")] = None,
    as_json: Json = False,
) -> None:
    """Show what a run, label set, batch or label was made from.

    The output goes back to the vendors' files, and forward to everything that was made from it.
    """
    campaign, graph, node = lineage.find(open_store(store), wanted)
    before, after = lineage.ancestors(graph, node), lineage.descendants(graph, node)
    if picture is not None:
        picture.write_text(lineage_chart.lineage([*before, *after], node.id), "utf-8")
    lines = [f"campaign {campaign}", *lineage.tree(graph, node)]
    lines += ["became part of:", *(f"  {n.kind} {n.id}  {n.text}" for n in after)] if after else []
    result = {
        "campaign": campaign,
        "id": node.id,
        "kind": node.kind,
        "made_from": [n._asdict() for n in before],
        "became": [n._asdict() for n in after],
    }
    finish(result, as_json, lines)


def status_result(store_uri: str) -> StoreStatus:
    """Return every campaign of a store with its rounds."""
    store = open_store(store_uri)
    campaigns = [_campaign_status(store, name) for name in folders(store, CAMPAIGNS)]
    return StoreStatus(store=store.uri, stopped=[pull.document() for pull in open_pulls(store)], campaigns=campaigns)


def _campaign_status(store: Store, name: str) -> CampaignStatus:
    return CampaignStatus(
        campaign=name,
        champion=champion(store, name),
        withdrawn=under_champion(store, name),
        batches=[batch["batch"] for batch in batches(store, name)],
        labels=sum(added(entry) for entry in deliveries(store, name)),
        runs=[run.facts["run"] for run in runs(store, name)],
        rounds=[turn._asdict() for turn in rounds(store, name)],
        training=(held := holder(store, name)) and held.document(),
        comparisons=[
            result._asdict() | {"contest": result.contest and result.contest.document()}
            for result in human_results(store, name)
        ],
        refused=[
            {"file": refusal.file, "code": refusal.code, "reason": refusal.text}
            for namespace in (name, comparisons_of(name))
            for refusal in refusals(store, namespace)
        ],
    )


def status_lines(result: StoreStatus, store: str = STORE) -> list[str]:
    """Show the rounds of every campaign on one screen."""
    lines = [
        f"STOPPED  {pull['scope']}, by {one_line(pull['by'])} at {pull['at']}: {one_line(pull['reason'])}"
        f"  ({hint(store, 'release', pull['pull'], '--reason', '...')})"
        for pull in result["stopped"][:MOST_PULLS]
    ]
    if (further := len(result["stopped"]) - MOST_PULLS) > 0:
        lines.append(f"STOPPED  by {further:,} more pulls; {hint(store, 'cord')} lists them")
    if not result["campaigns"]:
        start = f"{hint(store, 'export', 'CAMPAIGN')}, or {hint(store, 'demo')}"
        return [*lines, f"{result['store']} is empty. To start: {start}"]
    for campaign in result["campaigns"]:
        lines += _campaign_lines(campaign, store)
    return lines


def _campaign_lines(campaign: CampaignStatus, store: str) -> list[str]:
    name = campaign["campaign"]
    lines = [f"{name}   champion: {campaign['champion'] or 'the base'}"]
    roll_back = hint(store, "rollback", name, "--reason", "...")
    lines += [f"  its champion learned from {labels} ({roll_back})" for labels in campaign["withdrawn"]]
    if training := campaign["training"]:
        expired = "" if training["alive"] else "  (the lease has expired: the next retrain takes it over)"
        lines.append(f"  trained by {training['holder']} since {minute(training['since'])} UTC{expired}")
    if campaign["refused"]:
        last = campaign["refused"][-1]
        lines.append(
            f"  {len(campaign['refused']):,} deliveries refused: {one_line(last['file'] + ': ' + last['reason'])}"
        )
    lines += [_comparison_line(comparison) for comparison in campaign["comparisons"]]
    lines.append("  round  questions  labels  win rate  since (UTC)       waits for")
    for turn in campaign["rounds"]:
        win_rate = f"{turn['win_rate']:.3f}" if turn["win_rate"] is not None else "-"
        row = f"  {turn['number']:>5}  {turn['questions']:>9,}  {turn['labels']:>6,}  {win_rate:>8}  "
        lines.append(f"{row}{minute(turn['since'])}  {turn['waits_for']}")
        lines.append("         " + "  ".join([*turn["batches"], *([turn["run"]] if turn["run"] else [])]))
    return lines


def _comparison_line(comparison: dict[str, Any]) -> str:
    left, right = comparison["systems"]
    outcome = f"waits for {comparison['questions']:,} answers"
    if comparison["contest"]:
        outcome = str(Estimate(**comparison["contest"]["win_rate"]))
    if comparison["decision"] in ("hold", "reject"):
        outcome = f"on {comparison['decision']}: {comparison['why']}"
    return f"  {comparison['batch']}: people on {left} compared with {right}: {outcome}"
