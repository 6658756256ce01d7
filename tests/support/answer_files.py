"""Answer files as Hypothesis draws them: new rows, rows of earlier files again, corrections right and wrong."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.support.oracle import Asked, Label, Oracle

Cells = dict[str, str]
COLUMNS = ("question_id", "content_sha256", "labeler_id", "best", "ranking", "ratings", "skip")
MORE = ("seconds", "answered_at", "supersedes", "batch_id", "schema_version")
FILLER = "filler"  # who gives the good rows beside those that matter
NOTHING = dict.fromkeys((*COLUMNS, *MORE), "")
RANKINGS = ["", "[[2],[0,3],[1]]", "[[1,0],[3]]", "[[0,1,2,3]]", "[[0]]", "[[4],[1]]", "[[0],[0,1]]", "[1,2]", "x"]
RATINGS = [
    "",
    '{"overall":[1,2,3,4]}',
    '{"coverage":[1,2,3,4.5],"accuracy":[7.0,6,5,4]}',
    '{"coherence":[1,2,3,4],"coverage":[4,3,2,1]}',
    '{"overall":[1,2,3]}',
    '{"style":[1,2,3,4]}',
    '{"overall":[1,2,3,8]}',
    "[1]",
]
ANSWERS = [
    {"best": "0"},
    {"best": "1"},
    {"best": "1", "ratings": '{"overall":[1,7,1,1]}'},
    {"ratings": '{"overall":[1.0,7,1,1]}', "best": "1"},
    {"ranking": "[[1],[0,2]]"},
    {"ranking": "[[1],[2,0]]", "best": "1"},
    {"ranking": "[[0,1],[3]]"},
    {"skip": "true"},
]
TIMES = ["2021-03-01T10:00:00+02:00", "2021-03-01T08:00:00Z", "2021-03-01T10:00:00", "yesterday"]
OUT_OF_TIME = ["2019-01-01T00:00:00Z", "2999-01-01T00:00:00Z"]
ODD = [{"answered_at": at} for at in (*OUT_OF_TIME, *TIMES[2:])] + [{"seconds": "nan"}, {"seconds": "x"}]
RETURNED = [{"batch_id": "b1"}, {"schema_version": "1.0"}, {"batch_id": "b9"}, {"schema_version": "2"}]


class Item(NamedTuple):
    """Something in a file: one row, or rows that came before once more."""

    kind: str  # "row", or "again", one that came before, or "everything" that was taken
    row: Cells = NOTHING
    corrects: str = ""  # what the row names: "standing", "any", "row" before it in this file, "nothing", or ""
    pick: int = 0  # which of several

    def said(self) -> Cells:
        return {name: self.row[name] for name in ("best", "ranking", "ratings", "skip")}


class Before(NamedTuple):
    """The rows of all files before, the filler left out."""

    all: list[Cells]
    taken: list[Cells]  # those of them that have become labels


class File(NamedTuple):
    """One delivery, before it is known what came before it."""

    items: list[Item]
    filler: int  # good rows beside them, so that one bad row is few or many
    reverse: bool
    half: bool  # only every other row
    suffix: str
    twice: bool  # the same bytes again


def row(question: str, content: str, labeler: str, **said: str) -> Cells:
    return NOTHING | {"question_id": question, "content_sha256": content, "labeler_id": labeler} | said


def filler(question: Mapping[str, Any]) -> Cells:
    return row(question["question_id"], question["content_sha256"], FILLER, best="0")


def odd_rows(asked: Asked) -> st.SearchStrategy[Cells]:
    """Draw rows of which most cannot be used."""
    given: dict[str, st.SearchStrategy[str]] = {
        "question_id": st.sampled_from([*asked, "q", ""]),
        "content_sha256": st.sampled_from([*(content for content, _ in asked.values()), "0"]),
        "labeler_id": st.sampled_from(["ann", "bob", " ", "NA"]),
        "best": st.sampled_from(["", "0", "1", "2", "3", "4", "-1", "x"]),
        "ranking": st.sampled_from(RANKINGS),
        "ratings": st.sampled_from(RATINGS),
        "skip": st.sampled_from(["", "true", "Y", "1.0", "0.0", "no"]),
        "seconds": st.sampled_from(["", "3.5", "nan", "x"]),
        "answered_at": st.sampled_from(["", *TIMES]),
        "supersedes": st.sampled_from(["", "", "0" * 64]),
    }
    return st.fixed_dictionaries(given).map(lambda cells: NOTHING | cells)


def right_rows(asked: Asked) -> st.SearchStrategy[Cells]:
    """Draw rows of a few people's few answers, so that they meet; seconds and times are no part of an answer."""
    return st.builds(
        lambda name, who, said, seconds, at: row(
            name, asked[name][0], who, **(said | {"seconds": seconds, "answered_at": at})
        ),
        st.sampled_from(list(asked)),
        st.sampled_from(["Jos\u00e9", "Jos\u00e9", " Jose\u0301", "bob"]),
        st.sampled_from(ANSWERS),
        st.sampled_from(["", "2", "2.5"]),
        st.sampled_from(["", "", *TIMES[:2]]),
    )


def files(asked: Asked) -> st.SearchStrategy[File]:
    """Draw one delivery; whole files are refused too."""
    right = right_rows(asked)
    marked = st.builds(lambda cells, more: cells | more, right, st.sampled_from([*ODD, *ODD, *RETURNED]))
    pick = st.integers(0, 30)
    item = st.one_of(
        right.map(lambda cells: Item("row", cells)),
        st.builds(lambda cells, n: Item("row", cells, "standing", n), right, pick),
        st.builds(lambda cells, n: Item("row", cells, "standing", n), right, pick),
        st.builds(Item, st.just("row"), right, st.sampled_from(["any", "any", "row", "row", "nothing"]), pick),
        st.one_of(odd_rows(asked), marked).map(lambda cells: Item("row", cells)),
        st.builds(lambda kind, n: Item(kind, pick=n), st.sampled_from(["again", "again", "everything"]), pick),
    )
    filler = st.sampled_from([0, 17, 19, 36, 60, 60])
    suffix = st.sampled_from(["csv", "jsonl"])
    items = st.lists(item, min_size=1, max_size=6)
    return st.builds(File, items, filler, st.booleans(), st.booleans(), suffix, st.sampled_from([False, False, True]))


def rows_of(file: File, oracle: Oracle, before: Before, filler: Sequence[Cells]) -> list[Cells]:
    """Write out a delivery, now that it is known what came before it."""
    rows: list[Cells] = []
    for item in file.items:
        if item.kind == "everything":
            rows += before.taken
        elif item.kind == "again":
            rows += before.all[item.pick % len(before.all) :][:1] if before.all else []
        else:
            rows.append(_named(item, oracle, rows))
    rows = rows[:: 2 if file.half else 1] + list(filler[: file.filler])
    return rows[::-1] if file.reverse else rows


def _named(item: Item, oracle: Oracle, rows: Sequence[Cells]) -> Cells:
    """Return a row with the id of the label that it says it corrects."""
    standing = [label for label in oracle.counting() if label.labeler != FILLER]
    if item.corrects in ("standing", "any") and standing:  # an answer in the place of that one, or beside it
        label = standing[item.pick % len(standing)]
        named = label if item.corrects == "standing" else oracle.labels[item.pick // 2 % len(oracle.labels)]
        who = {"question_id": label.question, "content_sha256": oracle.asked[label.question][0]}
        return item.row | who | {"labeler_id": label.labeler, "supersedes": named.label_id}
    if item.corrects == "row" and rows:  # of this very file
        earlier = rows[item.pick % len(rows)]
        read = oracle.read(earlier)
        return earlier | item.said() | {"supersedes": read.label_id if isinstance(read, Label) else ""}
    return item.row | ({"supersedes": "0" * 64} if item.corrects == "nothing" else {})


def write(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Write rows of text as CSV or as a JSON object a line, by the name of the file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".jsonl":
            file.writelines(json.dumps({name: cell for name, cell in row.items() if cell}) + "\n" for row in rows)
        else:
            table = csv.DictWriter(file, list(NOTHING))
            table.writeheader()
            table.writerows(rows)
    return path
