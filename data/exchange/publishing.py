"""A batch in the format of a labeling tool, published once, next to the files of the batch."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from data.batches.index import Batch
from data.campaign.settings import Ask
from data.exchange.questions import Questions
from data.exchange.registry import question_writer
from data.shapes import checked_settings
from data.store.manifest import Publication, publish, read_manifest


def questions_of(batch: Batch) -> Questions:
    """Return the questions of a batch from its vendor's files, with the `[ask]` of its campaign."""
    files = [batch.path(name) for name in batch.names() if name.startswith("questions-")]
    campaign = batch.facts.get("campaign", {})
    return Questions(files, checked_settings(campaign.get("ask", {}), Ask, f"The campaign of {batch['batch']}"))


def in_format(batch: Batch, name: str) -> Publication:
    """Return a batch in a format for questions. It is written at the first call, in constant memory."""
    prefix = f"{batch.prefix}/vendor/{name}"
    published = read_manifest(batch.store, prefix)
    if published is not None:
        return published
    began = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as scratch:
        made = question_writer(name)(questions_of(batch), Path(scratch))
        files: dict[str, Path | bytes] = {path.name: path for path in made}
        inputs = {"batch": batch["batch"]}
        return publish(batch.store, prefix, "vendor", files, inputs=inputs, facts={}, began=began)
