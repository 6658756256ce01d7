"""Every kind of bad answer file as a real file: what it must get, by the number of its kind.

Kinds 1 to 67 are of deliveries; 68 to 71, of checkpoints, are held by tests/test_publication.py, test_resume.py and
test_base.py. A refusal is one line that names the file; a quarantined row has its number, reason and raw values.
"""

import csv
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from data import cord
from data.campaign import Quality
from data.labels import deliveries
from data.placing import Rules
from data.receiving import receive
from data.refused import Refused
from data.untrusted import read_apart
from tests.judging import judge
from tests.test_answers import ASKED, IDS, rows
from tests.vendor import Round

Rows = list[dict[str, Any]]
HEAD = "question_id,content_sha256,labeler_id,best\n"


def as_csv(given: Rows, path: Path) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(dict.fromkeys(name for row in given for name in row)), restval="")
        table.writeheader()
        table.writerows(given)
    return path


def as_parquet(given: Rows | pa.Table, path: Path) -> Path:
    pq.write_table(given if isinstance(given, pa.Table) else pa.Table.from_pylist(given), path)
    return path


def lines(given: Rows) -> list[str]:
    return [",".join(str(value) for value in row.values()) for row in given]


def with_column(name: str, column: pa.Array) -> pa.Table:
    table = pa.Table.from_pylist(rows())
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, column)
    return table.append_column(name, column)


BEST = [number % 4 for number in range(200)]
ANNS = pa.array(["ann"] * 200)
GOOD = HEAD + "\n".join(lines(rows())) + "\n"
FILES: list[tuple[str, bytes | str | pa.Table, str]] = [
    ("1 zero bytes", b"", "is empty"),
    ("2 header only", HEAD, "no rows"),
    ("2 no rows in Parquet", pa.Table.from_pylist(rows()).slice(0, 0), "no rows"),
    ("3 PAR1 only", b"PAR1", "not a whole Parquet"),
    ("3 garbage footer", b"PAR1" + b"\xff" * 300 + b"PAR1", "not a whole Parquet"),
    ("4 zip or xlsx", b"PK\x03\x04 and so on", "zip or Excel"),
    ("4 old Excel", b"\xd0\xcf\x11\xe0 and so on", "Excel"),
    ("6 missing column", GOOD.replace("labeler_id", "who", 1), "lacks the column labeler_id"),
    ("8 a column twice", GOOD.replace("labeler_id", "best", 1), "best twice"),
    ("10 other case", GOOD.replace("labeler_id", "Labeler ID", 1), "Write labeler_id, not 'Labeler ID'"),
    ("11 another version", with_column("schema_version", pa.array(["9.0"] * 200)), "version '9.0'; they are 1.0"),
    ("13 nested choice", with_column("best", pa.array([[best] for best in BEST])), "must be an integer"),
    ("13 struct choice", with_column("best", pa.array([{"a": best} for best in BEST])), "must be an integer"),
    ("15 bool choice", with_column("best", pa.array([best > 1 for best in BEST])), "must be an integer"),
    ("16 text choice in Parquet", with_column("best", pa.array([str(best) for best in BEST])), "must be an integer"),
    ("21 counted from one", with_column("best", pa.array([best + 1 for best in BEST])), "look one-based"),
    ("22 letters", with_column("ranking", pa.array(["A"] * 200)), "200 of 200 rows"),
    ("23 another contract", GOOD.replace("best", "canonical_option", 1), "lacks the column best"),
    ("46 UTF-16", GOOD.encode("utf-16"), "UTF-8|lacks the column"),
    ("46 cp1252", GOOD.encode() + b"a,b,Ren\xe9,1\n", "UTF-8|not a whole CSV"),
    ("49 semicolons", GOOD.replace(",", ";"), "Separate columns by commas"),
    ("49 a line sep=;", "sep=;\n" + GOOD.replace(",", ";"), "Separate columns by commas"),
    ("49 tabs", GOOD.replace(",", "\t"), "Separate columns by commas"),
    ("53 unclosed quote", GOOD.replace(",ann,", ',"ann,', 1), "not a whole CSV|rows cannot be used"),
    ("61 gzip", b"\x1f\x8b\x08\x00 and so on", "gzip.* not packed"),
    ("62 very many columns", HEAD.strip() + "".join(f",c{n}" for n in range(100)) + "\n", "columns, more than 64"),
    ("63 Arrow IPC", b"ARROW1\x00\x00 and so on", "Arrow IPC"),
    ("63 Feather", b"FEA1 and so on", "Feather"),
    ("64 encrypted Parquet", b"PARE and so on", "encrypted"),
]


@pytest.mark.parametrize(("kind", "content", "said"), FILES, ids=[case[0] for case in FILES])
def test_a_file_whose_rows_cannot_be_trusted_is_refused(
    kind: str, content: bytes | str | pa.Table, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "delivery.dat"  # names say nothing
    if isinstance(content, pa.Table):
        as_parquet(content, path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(Refused, match=said) as refusal:
        judge(path, ASKED)
    assert "\n" not in str(refusal.value) and "delivery.dat" in str(refusal.value) and len(str(refusal.value)) < 600


ROWS: list[tuple[str, dict[str, Any], str]] = [
    ("18 fraction", {"best": "2.5"}, "not an integer"),
    ("18 NaN", {"best": "nan"}, "not an integer"),
    ("18 infinite", {"best": "inf"}, "not an integer"),
    ("19 negative", {"best": "-1"}, "options 0 to 3"),
    ("19 too large", {"best": "4"}, "options 0 to 3"),
    ("19 255", {"best": "255"}, "options 0 to 3"),
    ("19 2^40", {"best": str(2**40)}, "not an integer"),
    ("20 empty choice", {"best": ""}, "best is missing"),
    ("22 letter", {"best": "B"}, "not an integer"),
    ("22 spaces", {"best": " 2 "}, "not an integer"),
    ("22 TRUE", {"best": "TRUE"}, "not an integer"),
    ("24 other options", {"content_sha256": "0" * 64}, "another text or order"),
    ("26 unknown id", {"question_id": "qbcdfghjkmnpqrstv"}, "not in this batch"),
    ("28 spaces around an id", {"question_id": f" {IDS[7]} "}, "not one of ours"),
    ("28 other case", {"question_id": IDS[7].upper()}, "not one of ours"),
    ("28 look-alike", {"question_id": IDS[7].replace("q", "ԛ", 1)}, "not one of ours"),
    ("29 id as a number", {"question_id": "1.23E+15"}, "not one of ours"),
    ("30 path", {"question_id": "../../etc/passwd"}, "not one of ours"),
    ("30 line break", {"question_id": IDS[7] + "\n"}, "not one of ours"),
    ("30 very long id", {"question_id": "q" * 10_000}, "not one of ours"),
    ("31 no labeler", {"labeler_id": ""}, "labeler_id is missing"),
    ("32 not on the roster", {"labeler_id": "eve"}, "not on the campaign's roster"),
    ("42 no zone", {"answered_at": "2026-05-01T10:00:00"}, "no time zone"),
    ("42 epoch", {"answered_at": "1777777777"}, "not a time|no time zone"),
    ("42 Excel serial", {"answered_at": "45000.5"}, "not a time"),
    ("43 before the export", {"answered_at": "2020-01-01T00:00:00+00:00"}, "before the batch was sent"),
    ("43 in the future", {"answered_at": "2999-01-01T00:00:00+00:00"}, "in the future"),
    ("50 decimal comma", {"best": "1,0"}, "not an integer"),
    ("51 a date", {"best": "3-Jan"}, "not an integer"),
    ("56 totals", {"question_id": "Total", "content_sha256": "", "labeler_id": "", "best": "200"}, "missing|not one"),
    ("59 huge text", {"note": "x" * 10_000_000}, "more than 20,000"),
]
RULES = Rules(Quality(roster=["ann"]), "2026-01-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00")


@pytest.mark.parametrize(("kind", "change", "said"), ROWS, ids=[case[0] for case in ROWS])
def test_a_bad_row_is_quarantined_alone_with_its_raw_values(
    kind: str, change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    given = [{**row, "note": "", "answered_at": ""} for row in rows()]
    given[7] |= change
    verdict = judge(as_csv(given, tmp_path / "a.csv"), ASKED, rules=RULES)
    (bad,) = verdict.quarantined
    assert len(verdict.accepted) == 199 and bad["row"] == 8
    assert re.search(said, bad["reason"]) and len(bad["reason"]) < 200
    name, value = next(iter(change.items()))
    assert str(bad["raw"].get(name, "")) == value


def broken(*changes: Callable[[list[str]], object]) -> str:
    cells = lines(rows())
    for change in changes:
        change(cells)
    return HEAD + "\n".join(cells) + "\n"


def test_kinds_54_55_rows_with_too_many_or_too_few_cells_keep_the_numbers_of_all_others(tmp_path: Path) -> None:
    def extra(cells: list[str]) -> None:
        cells[3] += ",9"

    def short(cells: list[str]) -> None:
        cells[10] = "only"

    def wrong(cells: list[str]) -> None:
        cells[20] = cells[20].rsplit(",", 1)[0] + ",7"

    path = tmp_path / "a.csv"
    path.write_text(broken(extra, short, wrong))
    verdict = judge(path, ASKED)
    assert [entry["row"] for entry in verdict.quarantined] == [4, 11, 21] and len(verdict.accepted) == 197
    assert verdict.quarantined[1]["raw"] == "only"


ACCEPTED: list[tuple[str, Callable[[Path], Path]]] = [
    ("7 extra columns", lambda folder: as_csv([{**row, "team": "x"} for row in rows()], folder / "a")),
    ("9 other order", lambda folder: as_csv([dict(reversed(row.items())) for row in rows()], folder / "a")),
    (
        "14 dictionary",
        lambda f: as_parquet(with_column("labeler_id", ANNS.dictionary_encode()), f / "a"),
    ),
    ("14 large text", lambda f: as_parquet(with_column("question_id", pa.array(IDS, pa.large_string())), f / "a")),
    ("14 uint8", lambda folder: as_parquet(with_column("best", pa.array(BEST, pa.uint8())), folder / "a")),
    ("14 decimal", lambda f: as_parquet(with_column("best", pa.array(BEST).cast(pa.decimal128(23, 2))), f / "a")),
    ("17 whole floats", lambda folder: as_parquet(with_column("best", pa.array(BEST, pa.float64())), folder / "a")),
    ("31 the name NA", lambda folder: as_csv(rows(labeler_id="NA"), folder / "a")),
    ("42 with an offset", lambda f: as_csv(rows(answered_at="2026-05-01T10:00:00+02:00"), f / "a")),
    ("44 strange durations", lambda folder: as_csv(rows(seconds="-1"), folder / "a")),
    ("48 controls in a note", lambda folder: as_csv(rows(note="\u202e\u200b\x07 e\u0301 \r\n x"), folder / "a")),
    ("52 quoted line breaks", lambda folder: as_csv(rows(note="two\nlines"), folder / "a")),
    ("57 formula", lambda folder: as_csv(rows(note='=HYPERLINK("http://x")'), folder / "a")),
    ("58 HTML", lambda folder: as_csv(rows(note="<img src=x onerror=alert(1)>"), folder / "a")),
]


@pytest.mark.parametrize(("kind", "write"), ACCEPTED, ids=[case[0] for case in ACCEPTED])
def test_what_is_harmless_is_accepted_and_kept_as_it_is(
    kind: str, write: Callable[[Path], Path], tmp_path: Path
) -> None:
    verdict = judge(write(tmp_path), ASKED)
    assert (len(verdict.accepted), verdict.bad) == (200, 0)
    if kind.startswith("48"):
        assert verdict.accepted["note"].to_pylist()[0] == "\u202e\u200b\x07 e\u0301 \r\n x"
    if kind.startswith("42"):
        assert verdict.accepted["answered_at"].to_pylist()[0] == "2026-05-01T08:00:00+00:00"


def test_kinds_45_52_a_byte_order_mark_and_bare_carriage_returns_are_read(tmp_path: Path) -> None:
    (tmp_path / "bom.csv").write_text("\ufeff" + GOOD)
    (tmp_path / "mac.csv").write_text(GOOD.replace("\n", "\r"), newline="")
    for name in ("bom.csv", "mac.csv"):
        assert len(judge(tmp_path / name, ASKED).accepted) == 200


def test_kinds_3_5_a_cut_or_changed_parquet_file_is_refused(tmp_path: Path) -> None:
    table = pa.Table.from_pylist(rows())
    pq.write_table(table, tmp_path / "a.parquet", compression="none", use_dictionary=False, write_page_checksum=True)
    whole = (tmp_path / "a.parquet").read_bytes()
    at = whole.index(IDS[7].encode()) + 3
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "bit.parquet").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    for name in ("cut.parquet", "bit.parquet"):
        with pytest.raises(Refused, match="not a whole Parquet file"):
            judge(tmp_path / name, ASKED)


def test_kinds_5_66_a_file_that_is_not_what_its_hash_says_is_refused(tmp_path: Path) -> None:
    path, folder = as_csv(rows(), tmp_path / "a.csv"), tmp_path / "scratch"
    folder.mkdir()
    (tmp_path / "a.csv.sha256").write_text("0" * 64 + "  a.csv\n")
    with pytest.raises(Refused, match="still being written, or damaged"):
        receive(path, folder)


def test_kind_47_text_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    bad = pa.array([b"\xff\xfe"] * 200).view(pa.string())
    with pytest.raises(Refused, match="not a whole Parquet file"):
        judge(as_parquet(with_column("labeler_id", bad), tmp_path / "a.parquet"), ASKED)


def test_kind_51_a_sheet_that_excel_may_have_cut_is_refused(tmp_path: Path) -> None:
    table = pa.table({name: pa.repeat(value, 1_048_575) for name, value in rows(1)[0].items()})
    with pytest.raises(Refused, match="where Excel cuts a sheet"):
        judge(as_parquet(table, tmp_path / "a.parquet"), ASKED)


def test_kind_65_only_a_plain_file_is_taken(tmp_path: Path) -> None:
    path, scratch = as_csv(rows(), tmp_path / "a.csv"), tmp_path / "scratch"
    scratch.mkdir()
    (tmp_path / "link.csv").symlink_to(path)
    os.mkfifo(tmp_path / "pipe.csv")
    for name, said in (("link.csv", "is a link"), ("pipe.csv", "a pipe"), ("scratch", "a folder")):
        with pytest.raises(Refused, match=said):
            receive(tmp_path / name, scratch)
    with pytest.raises(Refused, match="a device"):
        receive(Path("/dev/null"), scratch)


def test_kind_60_a_bomb_costs_its_reader_its_life_and_nobody_else_anything(tmp_path: Path) -> None:
    text = pa.array(["x" * 5_000_000] * 40)
    bomb = pa.table({name: text for name in ("question_id", "content_sha256", "labeler_id")})
    path = as_parquet(bomb.append_column("best", pa.array([0] * 40)), tmp_path / "bomb.parquet")
    assert path.stat().st_size < 20_000_000
    with pytest.raises(Refused, match="cannot be read within 400 MB|not a whole Parquet file") as refusal:
        read_apart(path, tmp_path / "rows.arrow", memory=400 << 20)
    assert "\n" not in str(refusal.value)


def test_kinds_33_to_36_the_same_answer_counts_once_and_others_are_out(tmp_path: Path) -> None:
    first = rows()
    verdict = judge(as_csv([*first, first[0], {**first[1], "best": 3}], tmp_path / "a.csv"), ASKED)
    assert (len(verdict.accepted), verdict.duplicates) == (199, 1), "33 repeated, 34 contradicted"
    assert [entry["row"] for entry in verdict.quarantined] == [2, 202]
    later = judge(as_csv([*first[:50], {**first[50], "best": 3}], tmp_path / "b.csv"), ASKED, verdict.accepted)
    assert (later.duplicates, later.bad) == (49, 1), "35 the same, 36 another; row 2 never counted"
    assert "conflicts with an earlier answer of ann" in later.reasons[0]


def test_kind_41_answers_beyond_those_wanted_are_quarantined(tmp_path: Path) -> None:
    given = [*rows(), *rows(4, labeler_id="bob"), *rows(2, labeler_id="eve")]
    verdict = judge(as_csv(given, tmp_path / "a.csv"), ASKED, rules=Rules(Quality(most_answers=2)))
    assert len(verdict.accepted) == 204 and [entry["row"] for entry in verdict.quarantined] == [205, 206]


def test_kinds_12_27_answers_of_another_batch_are_not_taken(sent: Round) -> None:
    with pytest.raises(Refused, match="says that it answers batch 'b9'"):
        sent.deliver([row | {"batch_id": "b9"} for row in sent.answers()])
    assert deliveries(sent.store, "c") == []


def test_kinds_37_38_40_a_delivery_may_come_again_sorted_anew_or_in_parts(sent: Round) -> None:
    given = sent.answers()
    assert sent.deliver(given[:300]).accepted == 300
    assert sent.deliver(given[:300]).duplicates == 300, "the same bytes"
    assert sent.deliver(given[::-1]).accepted == len(given) - 300, "the rest, and all again"
    assert sent.deliver(given).accepted == 0


def test_kind_67_what_is_judged_is_the_copy_that_was_taken(sent: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    from data import labels

    def replaced(delivery: Path, rows: Path) -> Any:
        (sent.folder / "answers.parquet").write_bytes(b"something else")
        return read_apart(delivery, rows)

    monkeypatch.setattr(labels, "read_apart", replaced)
    assert sent.deliver(sent.answers()).accepted == len(sent.key)


def test_a_refused_file_takes_nothing_and_a_good_one_afterwards_goes_in(sent: Round) -> None:
    bad = [row | {"best": 9} if number % 10 == 0 else row for number, row in enumerate(sent.answers())]
    with pytest.raises(Refused, match=r"answers.parquet: .* the first is row 1: best is 9; the question has options"):
        sent.deliver(bad)
    assert deliveries(sent.store, "c") == [] and sent.deliver(sent.answers()).accepted == len(sent.key)


def test_a_row_that_flags_stop_run_pulls_the_cord_once_a_file_even_where_the_file_is_refused(
    sent: Round, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ANDON_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(cord, "SCOPE", re.compile("campaign:c"))
    rows = [row | {"best": 9, "flags": "", "note": ""} for row in sent.answers()]
    rows[3] |= {"flags": "unsafe;stop_run", "note": "this is\nharmful"}
    for _ in range(2):
        with pytest.raises(Refused, match="rows cannot be used"):
            sent.deliver(rows)
    (pull,) = cord.open_pulls(sent.store, "c")
    assert pull.by == f"labeler {rows[3]['labeler_id']}" and pull.evidence["rows"][0]["row"] == 4
    assert "\n" not in pull.reason and "harmful" in pull.reason
