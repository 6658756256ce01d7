"""The columns of the fast path and a plain loop over rows judge every row alike."""

import csv
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from data.answers import judge
from data.committed import LABEL
from data.placing import Rules
from tests.judging import key_of, read_rows
from tests.oracle import fates
from tests.test_answers import ASKED, IDS

SOME = IDS[:4]
RANKINGS = ["", "[[2],[0,3],[1]]", "[[1,0],[3]]", "[[0,1,2,3]]", "[[0]]", "[[4],[1]]", "[[0],[0,1]]", "[1,2]", "x"]
RATINGS = [
    "",
    '{"overall":[1,2,3,4]}',
    '{"coverage":[1,2,3,4.5],"accuracy":[7.0,6,5,4]}',
    '{"overall":[1,2,3]}',
    '{"style":[1,2,3,4]}',
    '{"overall":[1,2,3,8]}',
    "[1]",
]
ROW = st.fixed_dictionaries(
    {
        "question_id": st.sampled_from([*SOME, "q", ""]),
        "content_sha256": st.sampled_from([*(ASKED[name].content_sha256 for name in SOME), "0"]),
        "labeler_id": st.sampled_from(["ann", "bob", " ", "NA"]),
        "best": st.sampled_from(["", "0", "1", "2", "3", "4", "-1", "x"]),
        "ranking": st.sampled_from(RANKINGS),
        "ratings": st.sampled_from(RATINGS),
        "skip": st.sampled_from(["", "true", "Y", "1.0", "0.0", "no"]),
    }
)
RIGHT = st.builds(
    lambda name, who, best: {
        "question_id": name,
        "content_sha256": ASKED[name].content_sha256,
        "labeler_id": who,
        "best": best,
        "ranking": "",
        "ratings": "",
        "skip": "",
    },
    st.sampled_from(SOME),
    st.sampled_from(["ann", "bob"]),
    st.sampled_from(["0", "1"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(ROW, RIGHT, RIGHT), min_size=1, max_size=25))
def test_a_plain_loop_agrees_on_every_row(rows: list[dict[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
        verdict = judge(read_rows(path), key_of(ASKED), LABEL.empty_table(), "b1", Rules())
    expected = fates(rows, {name: (asked.content_sha256, asked.shown) for name, asked in ASKED.items()})
    bad = {entry["row"] for entry in verdict.quarantined}
    counted: dict[int, Any] = {}
    for label in verdict.accepted.to_pylist():
        rated = json.loads(label["ratings"]) if label["ratings"] else None
        counted[label["source_row"]] = (label["best_sample"], label["ranking"], rated)
    found = {number: "bad" for number in bad} | {number: ("counts", *said) for number, said in counted.items()}
    said = [("bad",) if found.get(n) == "bad" else found.get(n) for n in range(1, len(rows) + 1)]
    assert said == [fate if fate[0] in ("bad", "counts") else None for fate in expected]
    assert verdict.duplicates == sum(fate == ("repeated",) for fate in expected)
    assert len(verdict.skipped) == sum(fate == ("skipped",) for fate in expected)
