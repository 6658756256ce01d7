"""The accuracy sheet: blind, read back whole or not at all, counted by system."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from data.errors import Refused
from data.evaluation.accuracy_sheet import COLUMNS, Item, publish_sheet, read_sheet, readings, sheet_log
from data.store import LocalStore

ITEMS = [
    Item(f"q{n}", f"=source {n}", system, f"summary {n}, with a comma and\na line")
    for n in range(30)
    for system in ("a", "b")
]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def sheet(store: LocalStore, request: str = "one") -> list[dict[str, str]]:
    published = publish_sheet(store, "c", ITEMS, {"request": request}, secret=7)
    return list(csv.DictReader(io.StringIO(published.path("sheet.csv").read_text("utf-8-sig"), newline="")))


def fill(rows: list[dict[str, str]], path: Path, accurate: Callable[[dict[str, str]], str]) -> Path:
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(row | {"accurate": accurate(row)} for row in rows)
    return path


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_spreadsheet_may_save_it_its_own_way(store: LocalStore, tmp_path: Path, separator: str) -> None:
    rows = sheet(store)
    lines = [" Item", "source", "summary", "Accurate "], *([r["item"], r["source"], r["summary"], "yes"] for r in rows)
    with (tmp_path / "ann.csv").open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=separator).writerows([*lines, [" ", "", "", ""]])
    found = read_sheet(store, "c", tmp_path / "ann.csv", " ann ")
    assert {(each.by, each.accurate.value) for each in found} == {("ann", 1.0)}
    with pytest.raises(Refused, match="--by"):
        read_sheet(store, "c", tmp_path / "ann.csv", " ")


def test_spreadsheets_see_that_it_is_utf_8(store: LocalStore) -> None:
    published = publish_sheet(store, "c", ITEMS, {"request": "one"}, secret=7)
    assert published.path("sheet.csv").read_bytes().startswith(b"\xef\xbb\xbfitem,")


def test_it_is_blind_and_its_order_tells_nothing(store: LocalStore) -> None:
    rows = sheet(store)
    assert len(rows) == 60 and {row["accurate"] for row in rows} == {""}
    assert all(row["source"].startswith("'=") for row in rows), "a spreadsheet runs nothing of it"
    order = [int(row["source"].rsplit(" ", 1)[1]) for row in rows]
    assert order != sorted(order) and sheet(store) == rows, "asked again it is the same sheet"


def test_filled_in_it_is_counted_by_system_once(store: LocalStore, tmp_path: Path) -> None:
    rows, other = sheet(store), sheet(store, "another")
    seen: set[str] = set()

    def first_of_each_source(row: dict[str, str]) -> str:
        new = row["source"] not in seen
        seen.add(row["source"])
        return "Yes" if new else "no"

    path = fill(rows, tmp_path / "ann.csv", first_of_each_source)
    found = read_sheet(store, "c", path, "ann")
    assert [each.system for each in found] == ["a", "b"] and {each.accurate.n for each in found} == {30}
    assert sum(each.accurate.value * 30 for each in found) == pytest.approx(30)
    assert found[0].accurate.low < found[0].accurate.value < found[0].accurate.high
    assert read_sheet(store, "c", path, "ann") == found and len(readings(store, "c")) == 2
    read_sheet(store, "c", fill(other, tmp_path / "bob.csv", lambda row: "no"), "bob")
    assert len(readings(store, "c")) == 4


def test_two_who_agree_are_two_readers_and_a_corrected_sheet_counts_last(store: LocalStore, tmp_path: Path) -> None:
    rows = sheet(store)
    first = fill(rows, tmp_path / "first.csv", lambda row: "yes")
    read_sheet(store, "c", first, "ann")
    assert {each.by for each in read_sheet(store, "c", first, "bob")} == {"ann", "bob"}
    corrected = fill(rows, tmp_path / "corrected.csv", lambda row: "no")
    read_sheet(store, "c", corrected, "ann")
    assert {(each.by, each.accurate.value) for each in readings(store, "c")} == {("ann", 0.0), ("bob", 1.0)}
    read_sheet(store, "c", first, "ann")
    assert {(each.by, each.accurate.value) for each in readings(store, "c")} == {("ann", 1.0), ("bob", 1.0)}
    assert len(sheet_log(store, "c")) == 4
    with first.open("a") as file:
        file.write(",,,,\r\n")  # as spreadsheets leave it
    assert read_sheet(store, "c", first, "ann")


def test_what_is_not_whole_is_refused_with_the_place(store: LocalStore, tmp_path: Path) -> None:
    rows = sheet(store)
    path = tmp_path / "sheet.csv"
    with pytest.raises(Refused, match=rf"item {rows[0]['item']}: accurate is 'perhaps', expected yes or no"):
        read_sheet(store, "c", fill(rows, path, lambda row: "perhaps"), "ann")
    with pytest.raises(Refused, match="no sheet has exactly its 59 items"):
        read_sheet(store, "c", fill(rows[1:], path, lambda row: "yes"), "ann")
    with pytest.raises(Refused, match="an item twice"):
        read_sheet(store, "c", fill([*rows, rows[0]], path, lambda row: "yes"), "ann")
    path.write_text("a,b\n1,2\n")
    with pytest.raises(Refused, match="no column accurate"):
        read_sheet(store, "c", path, "ann")
    with pytest.raises(Refused, match="does not exist, or is larger"):
        read_sheet(store, "c", tmp_path / "nowhere.csv", "ann")
    assert readings(store, "c") == []
