"""Every kind of bad answer file as a real file: what it must get, by the number of its kind (docs/bad-input.md).

A refusal is one line that names the file; a quarantined row has its number, reason and raw values.
"""

import json
import os
import re
from collections.abc import Callable
from copy import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.campaign.settings import Quality
from data.cord import cord, entries
from data.errors import Refused
from data.exchange import json_rows
from data.exchange.columns import Chunk
from data.ingest import sandbox
from data.ingest.match import RowLimits
from data.ingest.parse import parse_rows
from data.ingest.receive import receive
from data.ingest.sandbox import read_sandboxed
from data.ingest.validate import FileResult
from data.labels import table as label_table
from data.labels.decisions import decision_log
from data.labels.table import deliveries
from data.quality.scorecard import scorecards
from tests.support.bad_files import (
    ASKED,
    FILES,
    GOOD,
    HEAD,
    IDS,
    KEY,
    ROWS,
    VENDOR,
    Content,
    as_csv,
    as_parquet,
    lines,
    rows,
    with_column,
    written,
)
from tests.support.validating import validate_file
from tests.support.vendor import Round, publish_batch

BEST = [number % 4 for number in range(200)]
NOON = datetime(2026, 5, 1, 8, tzinfo=UTC)
ANNS = pa.array(["ann"] * 200)


@pytest.mark.parametrize(("kind", "content", "said"), FILES, ids=[case[0] for case in FILES])
def test_a_file_whose_rows_cannot_be_trusted_is_refused(kind: str, content: Content, said: str, tmp_path: Path) -> None:
    path = written(content, tmp_path / "delivery.dat")  # names say nothing
    with pytest.raises(Refused, match=said) as refusal:
        validate_file(path, ASKED)
    assert "\n" not in str(refusal.value) and "delivery.dat" in str(refusal.value) and len(str(refusal.value)) < 600


RULES = RowLimits(Quality(roster=["ann"]), "2026-01-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00")


@pytest.mark.parametrize(("kind", "change", "said"), ROWS, ids=[case[0] for case in ROWS])
def test_a_bad_row_is_quarantined_alone_with_its_raw_values(
    kind: str, change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    given = [{**row, "note": "", "answered_at": ""} for row in rows()]
    given[7] |= change
    result = validate_file(as_csv(given, tmp_path / "a.csv"), ASKED, limits=RULES)
    (bad,) = result.quarantined
    assert len(result.accepted) == 199 and bad["row"] == 8
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
    result = validate_file(path, ASKED)
    assert [entry["row"] for entry in result.quarantined] == [4, 11, 21] and len(result.accepted) == 197
    assert result.quarantined[1]["raw"] == "only"


def test_kind_84_a_row_of_nothing_but_commas_is_no_row_and_keeps_the_numbers_of_all_others(tmp_path: Path) -> None:
    def blank(cells: list[str]) -> None:
        cells[5:5] = [",,,", '"", ,,']  # as spreadsheets save the rows below a table, and between
        cells.extend([",,,"] * 1_000)

    def wrong(cells: list[str]) -> None:
        cells[20] = cells[20].rsplit(",", 1)[0] + ",7"

    path = tmp_path / "a.csv"
    path.write_text(broken(blank, wrong))
    result = validate_file(path, ASKED)
    assert [entry["row"] for entry in result.quarantined] == [21] and len(result.accepted) == 199
    path.write_text(HEAD + ",,,\n" * 3)
    with pytest.raises(Refused, match="no rows"):
        validate_file(path, ASKED)


ACCEPTED: list[tuple[str, Callable[[Path], Path]]] = [
    ("4 CSV named .parquet", lambda folder: as_csv(rows(), folder / "a.parquet")),
    ("4 Parquet named .csv", lambda folder: as_parquet(rows(), folder / "a.csv")),
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
    (
        "42 times with a zone in Parquet",
        lambda f: as_parquet(with_column("answered_at", pa.array([NOON] * 200, pa.timestamp("s", "UTC"))), f / "a"),
    ),
    (
        "42 a zone that is on no map",
        lambda f: as_parquet(
            with_column("answered_at", pa.array([int(NOON.timestamp())] * 200, pa.timestamp("s", "Mars/Phobos"))),
            f / "a",
        ),
    ),
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
    result = validate_file(write(tmp_path), ASKED)
    assert (len(result.accepted), result.bad) == (200, 0)
    if kind.startswith("48"):
        assert result.accepted["note"].to_pylist()[0] == "\u202e\u200b\x07 e\u0301 \r\n x"
    if kind.startswith("42"):
        assert result.accepted["answered_at"].to_pylist()[0] == "2026-05-01T08:00:00+00:00"


def test_kinds_45_52_a_byte_order_mark_and_bare_carriage_returns_are_read(tmp_path: Path) -> None:
    (tmp_path / "bom.csv").write_text("\ufeff" + GOOD)
    (tmp_path / "mac.csv").write_text(GOOD.replace("\n", "\r"), newline="")
    for name in ("bom.csv", "mac.csv"):
        assert len(validate_file(tmp_path / name, ASKED).accepted) == 200


def test_kinds_3_5_a_cut_or_changed_parquet_file_is_refused(tmp_path: Path) -> None:
    table = pa.Table.from_pylist(rows())
    pq.write_table(table, tmp_path / "a.parquet", compression="none", use_dictionary=False, write_page_checksum=True)
    whole = (tmp_path / "a.parquet").read_bytes()
    at = whole.index(IDS[7].encode()) + 3
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "bit.parquet").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    for name in ("cut.parquet", "bit.parquet"):
        with pytest.raises(Refused, match="not a whole Parquet file"):
            validate_file(tmp_path / name, ASKED)


def test_kinds_5_66_a_file_that_is_not_what_its_hash_says_is_refused(tmp_path: Path) -> None:
    path, folder = as_csv(rows(), tmp_path / "a.csv"), tmp_path / "scratch"
    folder.mkdir()
    (tmp_path / "a.csv.sha256").write_text("0" * 64 + "  a.csv\n")
    with pytest.raises(Refused, match="still being written, or damaged"):
        receive(path, folder)


def test_kind_47_text_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    bad = pa.array([b"\xff\xfe"] * 200).view(pa.string())
    with pytest.raises(Refused, match="not a whole Parquet file"):
        validate_file(as_parquet(with_column("labeler_id", bad), tmp_path / "a.parquet"), ASKED)


def test_kind_51_a_sheet_that_excel_may_have_cut_is_refused(tmp_path: Path) -> None:
    table = pa.table({name: pa.repeat(value, 1_048_575) for name, value in rows(1)[0].items()})
    with pytest.raises(Refused, match="where Excel cuts a sheet"):
        validate_file(as_parquet(table, tmp_path / "a.parquet"), ASKED)


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
        read_sandboxed(path, tmp_path / "rows.arrow", memory=400 << 20)
    assert "\n" not in str(refusal.value)


def test_kind_43_a_time_in_parquet_that_no_calendar_has_is_quarantined_alone(tmp_path: Path) -> None:
    for unit in ("ms", "us"):
        times = pa.array([2**62 if number == 7 else None for number in range(200)], pa.timestamp(unit, "UTC"))
        result = validate_file(as_parquet(with_column("answered_at", times), tmp_path / "a.parquet"), ASKED)
        (bad,) = result.quarantined
        assert len(result.accepted) == 199 and bad["row"] == 8 and "answered_at" in bad["raw"]
        assert re.match("answered_at is not a time|answered_at lies in the future", bad["reason"])


def test_kind_74_what_nobody_foresaw_is_said_as_it_is_with_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(part: Chunk, name: str) -> pa.RecordBatch:
        if part.numbers[0] > 1:
            raise ZeroDivisionError("of a kind\nthat nobody knows")
        return parse_rows(part, name)

    monkeypatch.setattr(json_rows, "ROWS_AT_ONCE", 150)
    monkeypatch.setattr(sandbox, "parse_rows", failing)
    (tmp_path / "a.json").write_text(json.dumps(rows()))
    said = sandbox._read_into(tmp_path / "a.json", tmp_path / "rows.arrow")
    assert said["refused"].startswith("a.json cannot be understood, near row 151 (ZeroDivisionError: of a kind).")


def test_kinds_33_to_36_the_same_answer_counts_once_and_others_are_out(tmp_path: Path) -> None:
    first = rows()
    result = validate_file(as_csv([*first, first[0], {**first[1], "best": 3}], tmp_path / "a.csv"), ASKED)
    assert (len(result.accepted), result.duplicates) == (199, 1), "33 repeated, 34 contradicted"
    assert [entry["row"] for entry in result.quarantined] == [2, 202]
    later = validate_file(as_csv([*first[:50], {**first[50], "best": 3}], tmp_path / "b.csv"), ASKED, result.accepted)
    assert (later.duplicates, later.bad) == (49, 1), "35 the same, 36 another; row 2 never counted"
    assert "conflicts with an earlier answer of ann" in later.reasons[0]


def test_kinds_81_82_a_correction_names_the_label_that_stands(tmp_path: Path) -> None:
    known = validate_file(as_csv(rows(), tmp_path / "a.csv"), ASKED).accepted
    ids = known["label_id"].to_pylist()
    new = rows(labeler_id="bob")[:60]

    def later(name: str, *corrections: dict[str, Any]) -> FileResult:
        plain = [row | {"supersedes": ""} for row in new]
        return validate_file(as_csv([*plain, *corrections], tmp_path / name), ASKED, known)

    first = rows()[0]
    right = first | {"best": 1, "supersedes": ids[0]}
    for named in ("0" * 64, ids[1]):
        assert [entry["row"] for entry in later("b.csv", right | {"supersedes": named}).quarantined] == [61]
    sample = ASKED[IDS[0]].shown[1]
    of_this_file = label_table.label_id("b1", IDS[0], "ann", sample, supersedes=ids[0])  # what `right` becomes
    chained = first | {"best": 2, "supersedes": of_this_file}
    result = later("c.csv", right, chained, right)
    assert [entry["row"] for entry in result.quarantined] == [62] and result.duplicates == 1
    assert later("d.csv", right, right | {"best": 3}).bad == 2, "two that differ"
    known = pa.concat_tables([known, result.accepted])
    result = later("e.csv", chained, right, right | {"best": 3}, first)
    assert [entry["row"] for entry in result.quarantined] == [63], "of one that was corrected already"
    assert (len(result.accepted), result.duplicates) == (1, 62), "both answers and all of bob's came before"


def test_kind_83_a_part_may_hold_skips_alone(tmp_path: Path) -> None:
    skips = [{name: row[name] for name in row if name != "best"} | {"skip": True} for row in rows()]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in skips))
    result = validate_file(path, ASKED)
    assert len(result.skipped) == result.rows == 200


def test_kind_79_one_person_is_one_whether_spaced_or_composed_another_way(tmp_path: Path) -> None:
    known = validate_file(as_csv(rows(labeler_id="Jos\u00e9"), tmp_path / "a.csv"), ASKED).accepted
    assert set(known["labeler_id"].to_pylist()) == {"Jos\u00e9"}
    for name in ("Jose\u0301", " Jos\u00e9", "Jose\u0301 "):
        later = validate_file(as_csv(rows(labeler_id=name), tmp_path / "b.csv"), ASKED, known)
        assert (len(later.accepted), later.duplicates) == (0, 200), ascii(name)
    rules = RowLimits(Quality(roster=["Jose\u0301 "]))
    assert validate_file(as_csv(rows(labeler_id="Jos\u00e9"), tmp_path / "c.csv"), ASKED, limits=rules).bad == 0


def test_kind_41_answers_beyond_those_wanted_are_quarantined(tmp_path: Path) -> None:
    given = [*rows(), *rows(4, labeler_id="bob"), *rows(2, labeler_id="eve")]
    result = validate_file(as_csv(given, tmp_path / "a.csv"), ASKED, limits=RowLimits(Quality(most_answers=2)))
    assert len(result.accepted) == 204 and [entry["row"] for entry in result.quarantined] == [205, 206]


def test_kinds_12_27_answers_of_another_batch_are_not_taken(sent: Round) -> None:
    with pytest.raises(Refused, match="says that it answers batch 'b9'"):
        sent.deliver([row | {"batch_id": "b9"} for row in sent.answers()])
    assert deliveries(sent.store, "c") == []


@pytest.mark.slow
def test_kinds_37_38_40_a_delivery_may_come_again_sorted_anew_or_in_parts(sent: Round) -> None:
    given = sent.answers()
    assert sent.deliver(given[:300]).accepted == 300
    assert sent.deliver(given[:300]).duplicates == 300, "the same bytes"
    assert sent.deliver(given[::-1]).accepted == len(given) - 300, "the rest, and all again"
    assert sent.deliver(given).accepted == 0


@pytest.mark.slow
def test_kind_80_a_skip_counts_once_however_often_it_is_delivered(sent: Round) -> None:
    given = sent.answers()
    skips = [row | {"best": None, "skip": True} for row in given[:40]]
    for more in (40, 41, 43, 46):
        sent.deliver([*skips, *(row | {"skip": False} for row in given[40:more])])
    named = {str(row["question_id"]) for row in given[:46]}
    measures = [entry for entry in decision_log(sent.store, "c") if entry["kind"] == "assessment"][-1]["measures"]
    assert measures["undecided"] is not None
    assert measures["answered"] == len(named) and measures["undecided"]["n"] == 46
    entries = deliveries(sent.store, "c")
    assert [entry["skipped"] for entry in entries] == [40] * 4, "of the rows of each file"
    found, more = label_table.skips(sent.store, entries, "b1")
    assert {tuple(row.values()) for row in found.to_pylist()} == {(r["question_id"], r["labeler_id"]) for r in skips}
    (card,) = scorecards(sent.store, "c")
    assert (len(found), more, card.skipped) == (40, 0, 40)
    older = copy(entries[0])
    del older["skipped_key"]
    older["skipped"] = 3
    assert label_table.skips(sent.store, [*entries, older], "b1")[1] == 3, "which does not say whose"


@pytest.mark.slow
@pytest.mark.parametrize("deliveries_of", ["one file", "skips first", "answers first"])
def test_who_skips_a_question_and_answers_it_has_answered_it(deliveries_of: str, sent: Round) -> None:
    given = [row | {"skip": False} for row in sent.answers()[:60]]
    skips = [row | {"best": None, "skip": True} for row in given[:40]]
    others = [skip | {"labeler_id": "who never answers"} for skip in skips[:5]]
    answers = given[10:]  # thirty of those that were skipped, and twenty more
    files = {
        "one file": [[*skips, *others, *answers]],
        "skips first": [[*skips, *others], answers],
        "answers first": [answers, [*skips, *others]],
    }
    for delivered in files[deliveries_of]:
        sent.deliver(delivered)
    measures = [entry for entry in decision_log(sent.store, "c") if entry["kind"] == "assessment"][-1]["measures"]
    (card,) = scorecards(sent.store, "c")
    assert (card.answers, card.skipped) == (50, 15), "ten of their own, and five of another labeler"
    assert measures["undecided"] is not None
    assert measures["undecided"]["n"] == 65 and measures["undecided"]["value"] == pytest.approx(15 / 65)
    assert measures["answered"] == len({row["question_id"] for row in given})


def test_kind_67_what_is_judged_is_the_copy_that_was_taken(sent: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    from data.ingest import pipeline

    def replaced(delivery: Path, rows: Path) -> Any:
        (sent.folder / "answers.parquet").write_bytes(b"something else")
        return read_sandboxed(delivery, rows)

    monkeypatch.setattr(pipeline, "read_sandboxed", replaced)
    assert sent.deliver(sent.answers()).accepted == len(sent.key)


@pytest.mark.slow
def test_a_refused_file_takes_nothing_and_a_good_one_afterwards_goes_in(sent: Round) -> None:
    bad = [row | {"best": 9} if number % 10 == 0 else row for number, row in enumerate(sent.answers())]
    with pytest.raises(Refused, match=r"answers.parquet: .* the first is row 1: best is 9; the question has options"):
        sent.deliver(bad)
    assert deliveries(sent.store, "c") == [] and sent.deliver(sent.answers()).accepted == len(sent.key)


@pytest.mark.parametrize("flags", ["unsafe;stop_run", "Stop_Run"])
def test_a_row_that_flags_stop_run_pulls_the_cord_once_a_file_even_where_the_file_is_refused(
    flags: str, sent: Round, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ANDON_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(entries, "SCOPE", re.compile("campaign:c"))
    rows = [row | {"best": 9, "flags": "", "note": ""} for row in sent.answers()]
    rows[3] |= {"flags": flags, "note": "this is\nharmful"}
    for _ in range(2):
        with pytest.raises(Refused, match="rows cannot be used"):
            sent.deliver(rows)
    (pull,) = cord.open_pulls(sent.store, "c")
    assert pull.by == f"labeler {rows[3]['labeler_id']}" and pull.evidence["rows"][0]["row"] == 4
    assert "\n" not in pull.reason and "harmful" in pull.reason


def test_kind_25_text_that_came_back_changed_is_quarantined(sent: Round) -> None:
    asked = {row["question_id"]: row for row in sent.vendor.to_pylist()}
    texts = [name for name in next(iter(asked.values())) if name == "query" or name.startswith("option_")]
    given = [row | {name: asked[row["question_id"]][name] for name in texts} for row in sent.answers()]
    given[3] |= {"query": given[3]["query"] + " "}
    given[5] |= {"option_2": "Something that nobody wrote."}
    given[7] |= {"option_0": given[7]["option_1"], "option_1": given[7]["option_0"]}
    given[9] |= dict.fromkeys(texts, "")  # which says nothing of what was shown
    outcome = sent.deliver(given)
    assert (outcome.accepted, outcome.quarantined) == (len(given) - 3, 3) and outcome.ignored == ()
    (entry,) = deliveries(sent.store, "c")
    rows = [json.loads(line) for line in sent.store.read(entry["quarantined_key"]).decode().splitlines()]
    assert [row["row"] for row in rows] == [4, 6, 8] and "the text came back changed" in rows[0]["reason"]


def test_kind_27_an_answer_to_a_question_of_another_batch_is_quarantined(sent: Round) -> None:
    publish_batch(sent.store, "c", "b2", VENDOR, KEY)
    given = sent.answers()
    outcome = sent.deliver([*given, *rows(3)])
    assert (outcome.batch, outcome.accepted, outcome.quarantined) == ("b1", len(given), 3)
    assert outcome.reasons == {"question ... is not": 3}
