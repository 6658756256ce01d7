"""What `andon label` does with the answers of its page: it ingests them, and says whose are left out and why."""

from collections import Counter

from data.batches.index import Batch
from data.ingest.page_delivery import LeftOut, PageChoice
from data.store import Store
from flows.cli.environment import prepare
from flows.cli.ingest import ingested_lines
from flows.cli.options import hint
from flows.cli.output import finish
from flows.settings import configured


def ingest_answers(store: Store, uri: str, campaign: str, batch: Batch, choice: PageChoice, as_json: bool) -> None:
    """Ingest the new answers of a batch, labeler by labeler, and end the command with what became of them."""
    prepare(uri)
    from tasks.ingest import ingest_page

    page, result = ingest_page(store, configured(campaign), batch, choice)
    answers = len(page.collected.answers) if page.collected else 0
    document: dict[str, object] = {"batch": batch["batch"]} if result is None else dict(result._asdict())
    document |= {"answers": answers, "left_out": [each._asdict() for each in page.left_out]}
    document["unknown_times"] = page.unknown_times
    lines = ["the page has no new answers to ingest"] if result is None else ingested_lines(result, campaign, uri)
    if page.unknown_times:
        lines.append(f"  {page.unknown_times:,} answers without a time: the server's clock was wrong. Set its clock.")
    collect = hint(uri, "label", campaign, "--collect", "--batch", batch["batch"])
    finish(document, as_json, [*lines, *_left_out_lines(page.left_out, collect)])


def _left_out_lines(left_out: tuple[LeftOut, ...], collect: str) -> list[str]:
    """Say whose answers are not ingested, and by which commands a person can decide about them."""
    lines = [f"  left out {each.answers:,} answers of {each.labeler}: {each.reason}" for each in left_out]
    for code in Counter(each.code for each in left_out if each.code):
        lines.append(f"    they stay saved; to ingest them anyway: {collect} --despite {code}")
    return lines
