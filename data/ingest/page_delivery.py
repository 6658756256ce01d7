"""The answers of the labeling page as a delivery, which is decided labeler by labeler.

A vendor's file is refused as a whole if its answers look wrong, because a tool made all of them. The answers of the
page are those of single people: one who misreads the instructions, or a clock that is wrong, holds up nobody else.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from data.batches.index import Batch
from data.batches.key import Key, read_key_columns
from data.campaign.settings import Quality
from data.errors import Refused
from data.escape import shown
from data.ingest.codes import FileRefused
from data.ingest.match import RowLimits
from data.ingest.parse import parse_rows
from data.ingest.pipeline import Predict, row_limits
from data.ingest.reader import open_answers
from data.ingest.validate import validate
from data.labels.findings import Code, Finding
from data.labels.table import committed_table, deliveries
from data.page.accounts import listed_ever
from data.page.answers import Collected, NewAnswers, new_answers, write_answers
from data.paths import KEY_FILE, name_in
from data.quality.arrays import Answers, best_choices, to_arrays
from data.quality.by_labeler import judge_labelers
from data.store import Store


class PageChoice(NamedTuple):
    """What a person says about a collection."""

    despite: tuple[str, ...] = ()  # codes of findings in spite of which answers are ingested
    without: tuple[str, ...] = ()  # labelers whose answers are left out
    by: str = ""


class LeftOut(NamedTuple):
    """A labeler whose answers are not ingested, and why: by a finding, or by a person's choice."""

    labeler: str
    answers: int
    code: str | None
    reason: str


class PageDelivery(NamedTuple):
    """The answer file of a collection, and what is not in it."""

    collected: Collected | None  # None if nothing is to be ingested
    left_out: tuple[LeftOut, ...]
    unknown_times: int  # answers whose time cannot be: the server's clock was wrong
    despite: str | None  # what the log says of the decision to ingest answers that look wrong


@dataclass(frozen=True)
class PageCollection:
    """One collection of a batch's answers."""

    store: Store
    batch: Batch
    choice: PageChoice
    thresholds: Quality
    predict: Predict
    scratch: Path


def collect_page(collection: PageCollection) -> PageDelivery:
    """Write the new answers of a batch as an answer file, without those that look wrong or that a person leaves out.

    Raise FileRefused if the answers look wrong and nobody's can be told from anybody else's.
    """
    store, batch, choice = collection.store, collection.batch, collection.choice
    check_choice(store, choice)
    name = name_in(batch.prefix)
    answers = new_answers(store, name, batch["batch"])
    counts = _counts(answers)
    left_out = [LeftOut(who, counts[who], None, "left out by --without") for who in choice.without if who in counts]
    answers = answers.keep(counts.keys() - set(choice.without))
    if not answers.rows:
        return PageDelivery(None, tuple(left_out), 0, None)
    predicted = collection.predict(batch)
    key = read_key_columns(batch.path(KEY_FILE))
    judged, limits = _judged(collection, answers, key, predicted)
    verdict = judge_labelers(judged, choice.despite)
    if (finding := verdict.of_the_others) is not None:
        raise FileRefused(finding.code, _refusal(finding, judged.names, batch["batch"]))
    left_out += [_left_out(who, counts[who], finding) for who, finding in verdict.wrong.items()]
    answers = answers.keep(counts.keys() - {each.labeler for each in left_out})
    times = _without_impossible_times(answers, limits)
    collected = write_answers(answers, batch["batch"], collection.scratch) if answers.rows else None
    despite = f"{', '.join(choice.despite)}: accepted by {choice.by}" if choice.despite else None
    return PageDelivery(collected, tuple(left_out), times, despite)


def check_choice(store: Store, choice: PageChoice) -> None:
    """Raise Refused if a person names a finding or a labeler that there is not."""
    for code in choice.despite:
        if code not in WHOLE:
            raise Refused(
                f"There is no finding {shown(code)} about all answers of a labeler; write {', '.join(WHOLE)}."
            )
    listed = listed_ever(store) if choice.without else set()
    for labeler in choice.without:
        if labeler not in listed:
            names = ", ".join(sorted(listed)) or "nobody"
            raise Refused(f"{shown(labeler)} was never a labeler in {store.uri}. Its labelers: {names}.")


WHOLE = (
    Code.INVERTED,
    Code.INVERTED_OR_RANDOM,
    Code.OFF_BY_ONE,
    Code.PARTLY_WRONG,
    Code.WRONG_JOIN,
    Code.UNMAPPED,
    Code.UNMAPPED_OR_WRONG_JOIN,
)


def _counts(answers: NewAnswers) -> dict[str, int]:
    """Return how many new answers each labeler has."""
    counts: dict[str, int] = {}
    for row in answers.rows:
        counts[str(row["labeler_id"])] = counts.get(str(row["labeler_id"]), 0) + 1
    return counts


def _judged(
    collection: PageCollection, answers: NewAnswers, key: Key, predicted: Mapping[str, int]
) -> tuple[Answers, RowLimits]:
    """Return the answers as the diagnosis reads them, and the times between which they were given.

    The file is of our own making, so it is read here and not in a child process.
    """
    store, batch = collection.store, collection.batch
    folder = collection.scratch / "all"
    folder.mkdir()
    written = write_answers(answers, batch["batch"], folder).path
    rows = [parse_rows(chunk, written.name) for chunk in open_answers(written).chunks]
    limits = row_limits(batch, (), collection.thresholds)
    labels = committed_table(store, deliveries(store, name_in(batch.prefix)), batch["batch"])
    result = validate(rows, key, labels, batch["batch"], limits._replace(earliest="", latest="9999"))
    return to_arrays(key, best_choices(result.accepted, key), predicted), limits


def _without_impossible_times(answers: NewAnswers, limits: RowLimits) -> int:
    """Take the time off every answer that was not given between two times, and return how many these are."""
    first, last = datetime.fromisoformat(limits.earliest), datetime.fromisoformat(limits.latest)
    count = 0
    for row in answers.rows:
        try:
            possible = first <= datetime.fromisoformat(str(row["answered_at"])) <= last
        except (ValueError, TypeError):  # no time, or a time without its zone
            possible = False
        if not possible:
            row["answered_at"] = None
            count += 1
    return count


def _left_out(labeler: str, answers: int, finding: Finding) -> LeftOut:
    return LeftOut(labeler, answers, finding.code, f"{finding.fault}: {finding.evidence}")


def _refusal(finding: Finding, labelers: Collection[str], batch: str) -> str:
    names = ", ".join(sorted(labelers))
    return (
        f"The answers of the labeling page to batch {batch} look wrong ({names}): {finding.fault}: {finding.evidence}. "
        "None of them is ingested, and all of them stay saved. To leave out a labeler, add --without NAME; to ingest "
        f"the answers anyway, add --despite {finding.code}."
    )
