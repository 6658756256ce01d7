"""Answer files: good rows go in, bad rows are named with their reason, untrustworthy files are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from data.batches.schema import question_id
from data.errors import Refused
from data.ingest.validate import FileResult
from tests.support.validating import Asked, validate_file

IDS = [question_id(b"s", n) for n in range(200)]
ASKED = {name: Asked(f"{n:064x}", (2, 0, 3, 1)) for n, name in enumerate(IDS)}


def rows(n: int = 200, **changes: Any) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for number in range(n):
        row = {"question_id": IDS[number], "content_sha256": ASKED[IDS[number]].content_sha256, "labeler_id": "ann"}
        made.append(row | {"best": number % 4} | changes)
    return made


def as_csv(table: pa.Table, path: Path) -> None:
    pa.csv.write_csv(table, path)


WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {"parquet": pq.write_table, "csv": as_csv}


@pytest.fixture(params=sorted(WRITERS))
def deliver(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[list[dict[str, Any]]], Path]:
    def write(given: list[dict[str, Any]]) -> Path:
        path = tmp_path / f"answers.{request.param}"
        WRITERS[request.param](pa.Table.from_pylist(given), path)
        return path

    return write


def reasons(result: FileResult) -> list[str]:
    return result.reasons


def test_a_good_file_is_accepted_and_labels_name_samples(deliver: Callable[..., Path]) -> None:
    result = validate_file(deliver(rows()), ASKED)
    assert (len(result.accepted), result.quarantined, result.duplicates) == (200, [], 0)
    chosen = result.accepted.slice(0, 4).select(["best_shown", "best_sample"])
    assert [tuple(row.values()) for row in chosen.to_pylist()] == [(0, 2), (1, 0), (2, 3), (3, 1)]


def test_optional_columns_are_kept(deliver: Callable[..., Path]) -> None:
    optional = {"seconds": 12.5, "confidence": 7.0, "note": "=1+1, he said", "answered_at": "2026-05-01T10:00:00+02:00"}
    result = validate_file(deliver(rows(3, **optional)), ASKED)
    kept = result.accepted.to_pylist()[0]
    assert {name: kept[name] for name in optional} == optional | {"answered_at": "2026-05-01T08:00:00+00:00"}
    flagged = validate_file(deliver(rows(3, flags="stop_run;unsafe")), ASKED)
    assert flagged.accepted["flags"].to_pylist()[0] == ["stop_run", "unsafe"]
    assert len(flagged.stops) == 3 and flagged.stops[0]["labeler_id"] == "ann"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"best": 4}, "options 0 to 3"),
        ({"best": -1}, "options 0 to 3"),
        ({"question_id": "../../etc/passwd"}, "not one of ours"),
        ({"question_id": question_id(b"other", 1)}, "not in this batch"),
        ({"content_sha256": "0" * 64}, "another text or order"),
        ({"labeler_id": ""}, "labeler_id is missing"),
        ({"labeler_id": " "}, "not a name"),
        ({"labeler_id": "x" * 300}, "not a name"),
    ],
)
def test_one_bad_row_is_quarantined_alone(deliver: Callable[..., Path], change: dict[str, Any], reason: str) -> None:
    given = rows()
    given[7] |= change
    result = validate_file(deliver(given), ASKED)
    assert len(result.accepted) == 199
    (bad,) = result.quarantined
    assert bad["row"] == 8 and reason in bad["reason"]
    name, value = next(iter(change.items()))
    assert str(bad["raw"][name]) == str(value), "the raw value is kept"


RANKED: list[tuple[dict[str, Any], int | None, int | None, list[list[int]] | None, str | None]] = [
    ({"ranking": "[[2],[0,3],[1]]"}, 2, 3, [[3], [1, 2], [0]], None),  # the samples shown are 2, 0, 3, 1
    ({"ranking": "[[1,0],[3]]", "best": 0}, None, None, [[0, 2], [1]], None),
    ({"ranking": "[[0,1,2,3]]"}, None, None, [[0, 1, 2, 3]], None),
    (
        {"ratings": '{"coverage":[1,2,3,4],"accuracy":[7.0,6,5.5,4]}'},
        None,
        None,
        None,
        '{"accuracy":[6,4,7,5.5],"coverage":[2,4,1,3]}',
    ),
    ({"best": 1, "ratings": '{"overall":[1,7,1,1]}'}, 1, 0, None, '{"overall":[7,1,1,1]}'),
]


@pytest.mark.parametrize(("given", "best", "sample", "ranking", "ratings"), RANKED)
def test_rankings_and_ratings_name_samples_inside(
    deliver: Callable[..., Path],
    given: dict[str, Any],
    best: int | None,
    sample: int | None,
    ranking: list[list[int]] | None,
    ratings: str | None,
) -> None:
    bare = [{name: row[name] for name in row if name != "best"} | given for row in rows(3)]
    label = validate_file(deliver(bare), ASKED).accepted.to_pylist()[0]
    found = (label["best_shown"], label["best_sample"], label["ranking"], label["ratings"])
    assert found == (best, sample, ranking, ratings)


def test_a_ranking_may_be_lists_in_parquet(tmp_path: Path) -> None:
    given = [{name: row[name] for name in row if name != "best"} | {"ranking": [[2], [0, 3], [1]]} for row in rows(3)]
    pq.write_table(pa.Table.from_pylist(given), tmp_path / "a.parquet")
    assert validate_file(tmp_path / "a.parquet", ASKED).accepted["ranking"].to_pylist() == [[[3], [1, 2], [0]]] * 3


BAD_ANSWERS = [
    ({"ranking": "[[0],[0,1]]"}, "names an option twice"),
    ({"ranking": "[[0],[4]]"}, "names an option beyond 3"),
    ({"ranking": "[[0]]"}, "compares nothing"),
    ({"ranking": "[0,1]"}, "not a list of groups"),
    ({"ranking": "2>1"}, "is not JSON"),
    ({"ranking": "[[1],[0]]", "best": 0}, "does not put first"),
    ({"ratings": '{"style":[1,1,1,1]}'}, "have an axis"),
    ({"ratings": '{"overall":[1,1,1,8]}'}, "not numbers from 1 to 7"),
    ({"ratings": '{"overall":[1,1,1]}'}, "not of 4 options"),
    ({"skip": "true", "best": 1}, "skips the question, and answers it"),
    ({"correction": "x" * 20_001, "best": 1}, "more than 20,000"),
]


@pytest.mark.parametrize(("given", "reason"), BAD_ANSWERS)
def test_an_answer_that_says_no_one_thing_is_quarantined(tmp_path: Path, given: dict[str, Any], reason: str) -> None:
    good = [row | {"best": str(row["best"])} | dict.fromkeys(given, "") for row in rows()]
    sent = [row | {"best": str(n % 4)} for n, row in enumerate(good)]
    sent[7] |= {"best": ""} | {name: str(value) for name, value in given.items()}
    as_csv(pa.Table.from_pylist(sent), tmp_path / "a.csv")
    result = validate_file(tmp_path / "a.csv", ASKED)
    assert [entry["row"] for entry in result.quarantined] == [8] and reason in reasons(result)[0]


@pytest.mark.parametrize("value", ["2.5", "B", "two", "nan", "inf", "1e0", " 2 ", "", "0x1", "９", "1,5", "3-Jan"])
def test_text_that_is_no_index_is_quarantined(tmp_path: Path, value: str) -> None:
    given = [row | {"best": str(row["best"])} for row in rows()]
    given[0]["best"] = value
    as_csv(pa.Table.from_pylist(given), tmp_path / "a.csv")
    result = validate_file(tmp_path / "a.csv", ASKED)
    assert len(result.quarantined) == 1 and "best is" in reasons(result)[0]


def test_whole_numbers_may_be_floats_as_pandas_writes_them_beside_gaps(tmp_path: Path) -> None:
    given = [row | {"best": float(row["best"])} for row in rows()]
    given[3]["best"] = None
    pq.write_table(pa.Table.from_pylist(given), tmp_path / "a.parquet")
    result = validate_file(tmp_path / "a.parquet", ASKED)
    assert len(result.accepted) == 199 and reasons(result) == ["best is missing"]


def test_the_same_answer_twice_counts_once(deliver: Callable[..., Path]) -> None:
    result = validate_file(deliver(rows() + rows(50)), ASKED)
    assert (len(result.accepted), result.duplicates) == (200, 50)


def test_contradictory_rows_are_both_out(deliver: Callable[..., Path]) -> None:
    given = rows()
    given.append(given[0] | {"best": 3})
    result = validate_file(deliver(given), ASKED)
    assert len(result.accepted) == 199
    assert sorted(entry["row"] for entry in result.quarantined) == [1, 201]


def test_a_later_file_cannot_change_an_answer(deliver: Callable[..., Path]) -> None:
    first = [rows(2)[0], rows(2)[1] | {"best": 3}]
    known = validate_file(deliver(first), ASKED).accepted
    result = validate_file(deliver(rows()), ASKED, known)
    assert (len(result.accepted), result.duplicates) == (198, 1)
    assert "conflicts with an earlier answer of ann" in reasons(result)[0]


def test_every_row_has_exactly_one_fate(deliver: Callable[..., Path]) -> None:
    given = [*rows(), *rows(5), rows(1)[0] | {"best": 9}]
    result = validate_file(deliver(given), ASKED)
    assert len(result.accepted) + result.bad + result.duplicates == result.rows == len(given)


def test_many_bad_rows_refuse_the_file_and_name_the_first(deliver: Callable[..., Path]) -> None:
    given = rows()
    for row in given[20:40]:
        row["best"] = 4
    with pytest.raises(
        Refused, match=r"20 of 200 rows .* the first is row 21: best is 4; the question has options 0 to 3"
    ):
        validate_file(deliver(given), ASKED)


def refused(path: Path, content: bytes | str, match: str) -> None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(Refused, match=match) as caught:
        validate_file(path, ASKED)
    assert "\n" not in str(caught.value) and path.name in str(caught.value)


HEADER = "question_id,content_sha256,labeler_id,best\n"


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.csv", "", "empty"),
        ("a.csv", HEADER, "no rows"),
        ("a.parquet", b"PAR1", "not a whole Parquet file"),
        ("a.parquet", b"PAR1" + b"\x00" * 200 + b"PAR1", "not a whole Parquet file"),
        ("a.parquet", b"PK\x03\x04zip", "zip or Excel"),
        ("a.parquet", b"\x1f\x8bgzip", "gzip"),
        ("a.csv", "question_id;content_sha256;labeler_id;best\na;b;c;1\n", "Separate columns by commas"),
        ("a.csv", "question_id,content_sha256,best\na,b,1\n", "lacks the column labeler_id"),
        ("a.csv", "question_id,content_sha256,labeler_id,best,best\na,b,c,1,1\n", "column best twice"),
        ("a.csv", "Question_ID,content_sha256,labeler_id,best\na,b,c,1\n", "lacks the column question_id"),
        ("a.csv", HEADER.encode("utf-16"), "UTF-8"),
        ("a.csv", HEADER.encode() + b"a,b,Ren\xe9,1\n", "not a whole CSV|UTF-8"),
        ("a.csv", HEADER + "a,b,c,1,extra\n", "row 1: has too few or too many cells"),
        ("a.csv", HEADER + 'a,"b,c,1\n', "not a whole CSV|rows cannot be used"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes | str, match: str
) -> None:
    refused(tmp_path / name, content, match)


def test_a_truncated_parquet_file_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(rows()), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    refused(tmp_path / "cut.parquet", whole[: len(whole) // 2], "not a whole Parquet file")


@pytest.mark.parametrize("values", [[True] * 200, ["1"] * 200, [[1]] * 200])
def test_parquet_types_are_not_guessed(tmp_path: Path, values: list[Any]) -> None:
    given = [row | {"best": value} for row, value in zip(rows(), values, strict=True)]
    pq.write_table(pa.Table.from_pylist(given), tmp_path / "a.parquet")
    with pytest.raises(Refused, match="must be an integer"):
        validate_file(tmp_path / "a.parquet", ASKED)


def test_category_columns_of_pandas_are_text_too(tmp_path: Path) -> None:
    table = pa.Table.from_pylist(rows())
    for name in ("question_id", "labeler_id"):
        table = table.set_column(table.schema.get_field_index(name), name, table[name].dictionary_encode())
    pq.write_table(table, tmp_path / "a.parquet")
    assert len(validate_file(tmp_path / "a.parquet", ASKED).accepted) == 200


def test_ids_that_look_like_nothing_or_numbers_stay_text(tmp_path: Path) -> None:
    given = [row | {"labeler_id": name} for row, name in zip(rows(4), ["NA", "None", "007", "1e5"], strict=True)]
    as_csv(pa.Table.from_pylist(given), tmp_path / "a.csv")
    result = validate_file(tmp_path / "a.csv", ASKED)
    assert result.accepted["labeler_id"].to_pylist() == ["NA", "None", "007", "1e5"]


def test_a_byte_order_mark_and_other_columns_do_no_harm(tmp_path: Path) -> None:
    given = [row | {"team": "x"} for row in rows(4)]
    as_csv(pa.Table.from_pylist(given), tmp_path / "a.csv")
    text = "\ufeff" + (tmp_path / "a.csv").read_text()
    (tmp_path / "b.csv").write_text(text)
    assert len(validate_file(tmp_path / "b.csv", ASKED).accepted) == 4
