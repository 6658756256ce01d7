"""The columns of the fast path and a plain loop over rows judge every row alike, of one file and of many."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from data.batches.index import batches, key_rows
from data.batches.schema import blind
from data.canonical import sha256_of_file
from data.errors import Refused
from data.ingest.match import RowLimits
from data.ingest.pipeline import ingest
from data.ingest.validate import validate
from data.labels.table import LABEL, active, active_labels, committed, committed_table, deliveries
from data.rounds.status import rounds
from data.simulation.faulty_vendor import make_questions
from data.store import LocalStore
from tests.data.test_answers import ASKED, IDS
from tests.support import answer_files
from tests.support.answer_files import Before, Cells, File
from tests.support.oracle import BAD, REPEATED, SKIPPED, Asked, Fate, Label, Oracle
from tests.support.scenario import on_machine
from tests.support.validating import key_of, read_rows
from tests.support.vendor import publish_batch

SENT = datetime(2020, 1, 1, tzinfo=UTC)
PHASES = [phase for phase in Phase if phase is not Phase.explain]  # which takes long where it is of no help
NO_WAITING = patch.object(os, "fsync")  # for a disk: nothing crashes here
ALL = {name: (each.content_sha256, each.shown) for name, each in ASKED.items()}
SOME = {name: ALL[name] for name in IDS[:4]}
ODD, RIGHT = answer_files.odd_rows(SOME), answer_files.right_rows(SOME)


def as_said(label: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the fast path keeps of an answer as the oracle has it."""
    said = label["best_sample"], label["ranking"], json.loads(label["ratings"]) if label["ratings"] else None
    names = {"question": "question_id", "labeler": "labeler_id"}
    kept = {name: label[names.get(name, name)] for name in Label._fields if name != "said"}
    return kept | {"said": said}


def outcome(
    accepted: Sequence[Mapping[str, Any]], bad: Sequence[int], repeated: int, skipped: int, rows: int
) -> tuple[dict[int, Any], int, int, int]:
    """Return what became of the rows of a file: of each that counts or is bad, and how many else."""
    found: dict[int, Any] = dict.fromkeys(bad, BAD)
    found |= {label["source_row"]: as_said(label) for label in accepted}
    assert len(found) == len(accepted) + len(bad) == rows - repeated - skipped
    return found, repeated, skipped, rows


def expected(fates: Sequence[Fate]) -> tuple[dict[int, Any], int, int, int]:
    found = {number: fate for number, fate in enumerate(fates, 1) if fate not in (REPEATED, SKIPPED)}
    each = {number: fate._asdict() if isinstance(fate, Label) else fate for number, fate in found.items()}
    return each, fates.count(REPEATED), fates.count(SKIPPED), len(fates)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(ODD, RIGHT, RIGHT), min_size=1, max_size=25))
@pytest.mark.slow
def test_a_plain_loop_agrees_on_every_row(rows: list[Cells]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = answer_files.write(rows, Path(folder) / "a.csv")
        result = validate(read_rows(path), key_of(ASKED), LABEL.empty_table(), "b1", RowLimits())
    bad = [entry["row"] for entry in result.quarantined]
    found = outcome(result.accepted.to_pylist(), bad, result.duplicates, len(result.skipped), result.rows)
    assert found == expected(Oracle("b1", ALL).judge(rows))


class Both:
    """A batch in a store and the same batch in the oracle, which get the same files."""

    def __init__(self, folder: Path, sent: Path, asked: Asked):
        self.folder, self.before = folder, Before([], [])
        shutil.copytree(sent, folder / "store")
        self.store, self.oracle = LocalStore(folder / "store"), Oracle("b1", asked, SENT)

    def deliver(self, file: File, filler: Sequence[Cells]) -> None:
        """Let both take a file: they agree on whether, on every row, and on what counts afterwards."""
        rows = answer_files.rows_of(file, self.oracle, self.before, filler)
        path = answer_files.write(rows, self.folder / f"a.{file.suffix}")
        for _ in range(1 + file.twice):
            fates = self.oracle.take(sha256_of_file(path), rows)
            assert self.taken(path) == (None if fates is None else expected(fates))
            self.same_labels()
            became = zip(rows, fates or [], strict=False)
            self.before.taken.extend(row for row, fate in became if isinstance(fate, Label) and row not in filler)
        self.before.all.extend(row for row in rows if row not in filler)

    def taken(self, path: Path) -> Any:
        """Return what ingest made of a file; None where it was refused, which leaves nothing."""
        before = deliveries(self.store, "c")
        with tempfile.TemporaryDirectory() as scratch:
            try:
                said = ingest(self.store, "c", path, Path(scratch))
            except Refused:
                assert deliveries(self.store, "c") == before
                return None
        new = deliveries(self.store, "c")[len(before) :]
        if not new:  # the same bytes again
            return outcome([], [], said.duplicates, 0, said.duplicates)
        (entry,) = new
        lines = self.store.read(entry["quarantined_key"]).decode().splitlines()
        labels = committed_table(self.store, new).to_pylist()
        bad = [json.loads(line)["row"] for line in lines]
        assert (said.accepted, said.quarantined) == (len(labels), len(bad))
        return outcome(labels, bad, said.duplicates, entry["skipped"], entry["rows"])

    def same_labels(self) -> None:
        counting = sorted(label.label_id for label in self.oracle.counting())
        entries = deliveries(self.store, "c")
        assert sorted(label.label_id for label in active_labels(committed(self.store, entries))) == counting
        table = committed_table(self.store, entries)
        assert sorted(table.take(active(table))["label_id"].to_pylist()) == counting
        assert rounds(self.store, "c")[0].labels == len(counting)


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one batch."""
    folder = tmp_path_factory.mktemp("sent")
    vendor, key = blind(make_questions(64, 3, gold=0)[0], "Which?", b"secret")
    publish_batch(LocalStore(folder), "c", "b1", vendor, key, began=SENT)
    return folder


@pytest.mark.slow
@settings(max_examples=50, deadline=None, phases=PHASES)
@given(st.data())
def test_both_agree_after_every_delivery(sent: Path, data: st.DataObject) -> None:
    rows = key_rows(batches(LocalStore(sent), "c")[0])
    asked = {row["question_id"]: (row["content_sha256"], tuple(row["shown"])) for row in rows}
    filler = [
        answer_files.row(row["question_id"], row["content_sha256"], answer_files.FILLER, best="0") for row in rows
    ]
    files = st.lists(answer_files.files(dict(list(asked.items())[:3])), min_size=2, max_size=8)
    with tempfile.TemporaryDirectory() as folder, on_machine(Path(folder) / "state", 0), NO_WAITING:
        both = Both(Path(folder), sent, asked)
        for file in data.draw(files):
            both.deliver(file, filler)
