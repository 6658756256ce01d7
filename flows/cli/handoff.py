"""What an exported batch hands to people outside: where its files lie and, in S3, links with their deadlines."""

from data.exchange.publishing import in_format
from data.store import open_store
from data.store.manifest import Publication
from data.store.presigned import download_link, upload_link
from flows.cli.output import Result
from tasks.batches import sent_batch

Handed = list[tuple[Publication, str]]


def handed_over(store_uri: str, campaign: str, batch_id: str, formats: list[str], vendor: str | None) -> Result:
    """Return the addresses of a batch's files for labelers, and links for a vendor where one is named."""
    batch = sent_batch(store_uri, campaign, batch_id)
    handed: Handed = [(batch, name) for name in batch.names() if name.startswith("questions-")]
    for each in formats:
        published = in_format(batch, each)
        handed += [(published, name) for name in published.names()]
    result: Result = {
        "batch": batch_id,
        "vendor_files": [published.address(name) for published, name in handed],
        "repeats": batch.address("repeats.csv") if "repeats.csv" in batch.names() else None,
    }
    if vendor is not None:
        store = open_store(store_uri)
        result["links"] = [download_link(store, published.key(name))._asdict() for published, name in handed]
        result["upload"] = upload_link(store, campaign, batch_id, vendor)._asdict()
    return result


def handover_lines(result: Result, campaign: str) -> list[str]:
    """Say what to send to whom, and by when."""
    lines = [f"batch {result['batch']}", *(f"send to labelers: {file}" for file in result["vendor_files"])]
    if result["repeats"]:
        lines.append(f"for who hands questions out, which of them go to the same labeler: {result['repeats']}")
    for link in result.get("links", []):
        lines.append(f"until {link['ends']}: {link['url']}")
    if upload := result.get("upload"):
        lines.append(f"answers back, once, until {upload['ends']}:")
        lines.append(f"  curl --fail --upload-file ANSWERS -H 'If-None-Match: *' '{upload['url']}'")
        return [*lines, f"it is taken in from there: {upload['key']}"]
    return [*lines, f"then: andon ingest {campaign} ANSWERS"]
