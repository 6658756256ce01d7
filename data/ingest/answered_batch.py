"""Which batch a delivered file answers: the one that most of its rows belong to."""

import pyarrow.compute as pc

from data.batches.index import Batch, batches
from data.batches.key import Key, read_key_columns
from data.errors import Refused
from data.escape import shown
from data.ingest.codes import FileRefused, RefusalCode
from data.ingest.sandbox import ParsedFile
from data.paths import KEY_FILE, comparisons_of
from data.store import Store


def sent_batches(store: Store, campaign: str) -> list[Batch]:
    """Return the batches that a file may answer: those of a campaign, and before them those of its comparisons."""
    sent = [*batches(store, comparisons_of(campaign)), *batches(store, campaign)]
    if not sent:
        raise Refused(f"Campaign {campaign} has no batch in {store.uri}: run andon export {campaign} first.")
    return sent


def answered_batch(sent: list[Batch], rows: ParsedFile, place: str, file: str) -> tuple[Batch, Key]:
    """Return the batch that a file answers, with its key; `place` and `file` name the campaign and the file.

    Raise FileRefused if no row answers a question of these batches, or if the rows name another batch.
    """
    candidates: list[tuple[int, Batch, Key]] = []
    for batch in reversed(sent):
        key = read_key_columns(batch.path(KEY_FILE))
        answered = _answered(rows, key)
        candidates.append((answered, batch, key))
        if 2 * answered > rows.total:
            break
    answered, batch, key = max(candidates, key=lambda candidate: candidate[0])
    if not answered:
        message = f"{file} answers no question of {place}: it belongs to another batch, campaign or store. Its first "
        message += f"question_id is {shown(_first_id(rows), 42)}."
        raise FileRefused(RefusalCode.OTHER_BATCH, message)
    if others := sorted(_named(rows) - {batch["batch"]}):
        message = (
            f"{file} says that it answers batch {shown(others[0], 42)}, and its questions are of {batch['batch']}."
        )
        raise FileRefused(RefusalCode.OTHER_BATCH, message)
    return batch, key


def _answered(rows: ParsedFile, key: Key) -> int:
    """Count the rows that answer a question of a key; more than half of all are enough."""
    count = 0
    for chunk in rows.columns("question_id"):
        count += chunk.num_rows - key.find(chunk.column("question_id")).null_count
        if 2 * count > rows.total:
            break
    return count


def _first_id(rows: ParsedFile) -> str:
    ids = (name for chunk in rows.columns("question_id") for name in chunk.column("question_id").to_pylist() if name)
    return next(ids, "")


def _named(rows: ParsedFile) -> set[str]:
    """Return the batches that the rows name."""
    names = set[str]()
    for chunk in rows.columns("batch_id"):
        names |= set(pc.unique(chunk.column("batch_id").drop_null()).to_pylist())
    return names
