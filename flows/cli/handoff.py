"""What an exported batch gives to people outside: its files and, in S3, links with their deadlines."""

from collections.abc import Sequence
from typing import NamedTuple

from data.exchange.publishing import in_format
from data.store import open_store
from data.store.manifest import Publication
from data.store.presigned import Link, download_link, upload_link
from flows.cli.options import hint
from tasks.batches import sent_batch


class Handoff(NamedTuple):
    """The addresses of a batch's files for labelers, and links for a vendor if one was named."""

    batch: str
    vendor_files: list[str]
    repeats: str | None  # the file that says which questions go to the same labeler
    links: list[Link] | None = None
    upload: Link | None = None

    def document(self) -> dict[str, object]:
        """Return what scripts read."""
        document: dict[str, object] = {
            "batch": self.batch,
            "vendor_files": self.vendor_files,
            "repeats": self.repeats,
        }
        if self.links is not None and self.upload is not None:
            document |= {"links": [link._asdict() for link in self.links], "upload": self.upload._asdict()}
        return document


def hand_off(
    store_uri: str, campaign: str, batch_id: str, formats: Sequence[str] = (), vendor: str | None = None
) -> Handoff:
    """Publish a batch in the formats that labelers need, and return where its files are."""
    batch = sent_batch(store_uri, campaign, batch_id)
    files: list[tuple[Publication, str]] = [(batch, name) for name in batch.names() if name.startswith("questions-")]
    for name in formats:
        published = in_format(batch, name)
        files += [(published, file) for file in published.names()]
    handoff = Handoff(
        batch_id,
        [published.address(name) for published, name in files],
        batch.address("repeats.csv") if "repeats.csv" in batch.names() else None,
    )
    if vendor is None:
        return handoff
    store = open_store(store_uri)
    return handoff._replace(
        links=[download_link(store, published.key(name)) for published, name in files],
        upload=upload_link(store, campaign, batch_id, vendor),
    )


def handoff_lines(handoff: Handoff, campaign: str, store: str) -> list[str]:
    """Say what to send to whom, and by when."""
    lines = [f"batch {handoff.batch}", *(f"send to labelers: {file}" for file in handoff.vendor_files)]
    if handoff.repeats:
        lines.append(f"questions to assign to the same labeler: {handoff.repeats}")
    lines += [f"until {link.ends}: {link.url}" for link in handoff.links or []]
    if handoff.upload is None:
        return [*lines, f"then: {hint(store, 'ingest', campaign, 'ANSWERS')}"]
    return [
        *lines,
        f"upload the answers once, until {handoff.upload.ends}:",
        f"  curl --fail --upload-file ANSWERS -H 'If-None-Match: *' '{handoff.upload.url}'",
        f"the answers are ingested from: {handoff.upload.key}",
    ]
