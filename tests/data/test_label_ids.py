"""The fast forms of ids equal the slow ones: of labels (text joined by columns) and of label sets (hashed in parts)."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.canonical import canonical_json, sha256
from data.ingest.match import MATCHED
from data.labels import label_sets, table
from data.labels.table import label_id, labels_of

PRINTABLE = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
RANKINGS = st.permutations([0, 1, 2, 3]).map(lambda order: [[order[0]], sorted(order[1:3]), [order[3]]])
RATINGS = st.lists(st.integers(1, 7), min_size=4, max_size=4).map(lambda row: json.dumps({"overall": row}))
ANSWERS: st.SearchStrategy[tuple[int | None, dict[str, object]]] = st.one_of(
    st.tuples(st.integers(0, 3), st.just({})),
    st.tuples(st.none(), RANKINGS.map(lambda groups: {"ranking": groups})),
    st.tuples(st.integers(0, 3), RATINGS.map(lambda text: {"ratings": text})),
)
ROWS = st.lists(st.tuples(PRINTABLE, PRINTABLE, ANSWERS, st.none() | PRINTABLE), min_size=1, max_size=20)


@given(rows=ROWS, batch=PRINTABLE, at_once=st.integers(1, 30))
def test_the_fast_ids_of_labels_are_the_slow_ones(
    rows: list[tuple[str, str, tuple[int | None, dict[str, object]], str | None]], batch: str, at_once: int
) -> None:
    ids = [sha256(question.encode()) for question, *_ in rows]  # a question's id is hexadecimal, a labeler's anything
    documents = [
        {"row": number, "question_id": ids[number], "labeler_id": labeler, "best_sample": best, **details}
        | {"answer_key": "x" if details else None, "supersedes": supersedes}
        for number, (_, labeler, (best, details), supersedes) in enumerate(rows)
    ]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(table, "AT_ONCE", at_once)
        fast = labels_of(pa.Table.from_pylist(documents, MATCHED), batch)["label_id"].to_pylist()
    assert fast == [
        label_id(batch, ids[number], labeler, best, details, supersedes)
        for number, (_, labeler, (best, details), supersedes) in enumerate(rows)
    ]


@given(
    names=st.sets(st.integers(0, 10**6), min_size=1, max_size=40),
    weights=st.lists(st.sampled_from([1.0, 0.25, 1.5, 0.7310585786300049]), min_size=40, max_size=40),
    at_once=st.integers(1, 50),
)
def test_the_fast_id_of_a_label_set_is_the_slow_one(names: set[int], weights: list[float], at_once: int) -> None:
    ids = [sha256(str(name).encode()) for name in names]
    labels = pa.table({"label_id": pa.array(ids, pa.string())})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(label_sets, "AT_ONCE", at_once)
        fast = label_sets._id(labels, np.array(weights[: len(ids)]))
    pairs = sorted(zip(ids, weights[: len(ids)], strict=True))
    assert fast == "ls" + sha256(canonical_json([list(pair) for pair in pairs]))[:14]
