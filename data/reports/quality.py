"""The quality report of a batch, and the report of vendors over time: HTML files without external parts, in the store.

A report depends on the entries of the logs alone. New entries give a new report in addition to the old one.
"""

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from markupsafe import Markup

from data.batches.index import key_rows
from data.batches.schema import write_table
from data.canonical import Document, content_id
from data.labels.decisions import decision_log
from data.labels.delivery import DeliveryEntry
from data.labels.log_entries import estimate
from data.labels.table import Committed, deliveries
from data.measures.intervals import proportion
from data.paths import quality_report_prefix
from data.quality.scorecard import Scorecard, find_batch, scorecards, weighed, written
from data.render import charts
from data.render.page import PAGES
from data.reports.edition import edition
from data.store import Store
from data.store.manifest import Publication, publish, read_manifest

DECIDED = pa.schema(
    [
        ("label_id", pa.string()),
        ("labeler_id", pa.string()),
        ("decision", pa.string()),
        ("weight", pa.float64()),
        ("reasons", pa.list_(pa.string())),
        ("rules", pa.int32()),
    ]
)
OVER_TIME = {
    "gold": "Gold answers right",
    "alpha": "Krippendorff's alpha",
    "agreement_with_reward_model": "Agreement with the last reward model",
    "self_consistency": "Repeated answers equal",
    "drift": "Watched option of the drift questions chosen",
}


def report_batch(store: Store, campaign: str, wanted: str | None = None, price: float | None = None) -> Publication:
    """Publish the quality report of a batch, once for every state of the logs, with a decision on every label.

    Return the publication.
    """
    began, batch = datetime.now(UTC), find_batch(store, campaign, wanted)
    entries, name = deliveries(store, campaign), batch["batch"]
    inputs = {"batch": name, "price": price, "edition": edition()} | _state(store, campaign, entries)
    prefix = quality_report_prefix(campaign, name, content_id(inputs))
    if (published := read_manifest(store, prefix)) is not None:
        return published
    cards = scorecards(store, campaign, price)
    card = next(card for card in cards if card.batch == name)
    rows = {row["question_id"]: row for row in key_rows(batch, tokens=False)}
    labels = weighed(store, batch, entries, card.status)
    page = PAGES.get_template("quality.html").render(
        campaign=campaign,
        card=card,
        measures=card.assessment["measures"] if card.assessment else {},
        shown=OVER_TIME,
        texts=written([label for label, _ in labels], rows),
        plots=[Markup(plot) for plot in [*_batch_plots(card), *_over_time(cards)]],
    )
    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch) / "labels.parquet"
        write_table(decided(labels, card), table)
        files: dict[str, Path | bytes] = {"report.html": page.encode(), "labels.parquet": table}
        return publish(store, prefix, "quality report", files, inputs=inputs, facts={"batch": name}, began=began)


def report_vendors(store: Store, campaign: str, price: float | None = None) -> Publication:
    """Publish the report of all vendors over time, and return it."""
    began, entries = datetime.now(UTC), deliveries(store, campaign)
    inputs = {"price": price, "edition": edition()} | _state(store, campaign, entries)
    prefix = quality_report_prefix(campaign, "vendors", content_id(inputs))
    if (published := read_manifest(store, prefix)) is not None:
        return published
    cards = scorecards(store, campaign, price)
    vendors = {vendor: [card for card in cards if card.vendor == vendor] for vendor in {card.vendor for card in cards}}
    page = PAGES.get_template("vendors.html").render(
        campaign=campaign,
        vendors=[
            {"name": vendor, "cards": mine, "plots": [Markup(plot) for plot in [*_over_time(mine), *_cost_plots(mine)]]}
            for vendor, mine in sorted(vendors.items())
        ],
    )
    files: dict[str, Path | bytes] = {"report.html": page.encode()}
    return publish(store, prefix, "quality report", files, inputs=inputs, facts={}, began=began)


def _state(store: Store, campaign: str, entries: Sequence[DeliveryEntry]) -> Document:
    return {"labels": len(entries), "decisions": len(decision_log(store, campaign))}


def decided(labels: Sequence[tuple[Committed, float]], card: Scorecard) -> pa.Table:
    """Return the decision on every label (DECIDED): the worse of its batch's and its labeler's, with both reasons."""
    labelers = card.assessment["labelers"] if card.assessment else {}
    rules = card.assessment["version"] if card.assessment else 0
    status = card.status
    rows = []
    for label, weight in labels:
        of_labeler = labelers.get(label.labeler_id)
        stopped = status is not None and status.decision != "accept"
        on_hold = status is not None and not status.weights.get(label.labeler_id, 1.0)
        decision = status.decision if status is not None and stopped else "hold" if on_hold else "accept"
        why = [status.why] if status is not None and stopped else []
        row = {"label_id": label.label_id, "labeler_id": label.labeler_id, "decision": decision, "weight": weight}
        rows.append(row | {"reasons": [*why, *(of_labeler["reasons"] if of_labeler else [])], "rules": rules})
    return pa.Table.from_pylist(rows, schema=DECIDED)


def _batch_plots(card: Scorecard) -> list[str]:
    if card.assessment is None:
        return []
    measures, labelers = card.assessment["measures"], card.assessment["labelers"]
    counts = measures["slots"]
    total = max(1, sum(counts))
    shares = {f"position {position}": count / total for position, count in enumerate(counts)}
    plots = [charts.bars(shares, title="Answers by position as shown", level=1 / len(counts), level_label="even")]
    heaviest = sorted(labelers.items(), key=lambda named: named[1]["weight"])
    weights = {name: labeler["weight"] if labeler["decision"] == "accept" else 0.0 for name, labeler in heaviest}
    plots.append(charts.bars(weights, title="Weight of each labeler", level=1.0, level_label="average"))
    texts = measures["texts"]
    for what, title in (("words", "Words in a response"), ("copied", "Share of word pairs copied from the query")):
        pair = {name: texts[f"{what} {name}"] for name in ("chosen", "rejected") if f"{what} {name}" in texts}
        if pair:
            plots.append(charts.bars(pair, title=title))
    return plots


def _over_time(cards: Sequence[Scorecard]) -> list[str]:
    plots = []
    for name, title in OVER_TIME.items():
        rates = [(card.round, estimate(card.assessment["measures"], name)) for card in cards if card.assessment]
        points = [(f"round {number}", rate["value"], rate["low"], rate["high"]) for number, rate in rates if rate]
        if points:
            plots.append(charts.intervals(points, title=f"{title}, by batch"))
    shares = [(card.round, proportion(card.counted, card.answers)) for card in cards if card.answers]
    if shares:
        points = [(f"round {number}", *share[:3]) for number, share in shares]
        plots.append(charts.intervals(points, title="Share of answers trained on, by batch"))
    return plots


def _cost_plots(cards: Sequence[Scorecard]) -> list[str]:
    costs = {f"round {card.round}": card.cost_a_label for card in cards if card.cost_a_label}
    hours = {f"round {card.round}": card.hours for card in cards if card.hours is not None}
    currency = cards[0].currency
    title = f"Cost of a label that is trained on, {currency}" if currency else "Cost of a label that is trained on"
    plots = [charts.bars(costs, title=title)] if costs else []
    return [*plots, charts.bars(hours, title="Hours from export to last delivery")] if hours else plots
