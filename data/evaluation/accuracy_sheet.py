"""The accuracy sheet: a person reads summaries with their sources and marks errors, as the authors of 2019 did.

The sheet is blind. It has the same articles for each system, shuffled and numbered, and the key stays in the store. The
reader writes `yes` or `no` under `accurate`, and optionally a `note`.
"""

import csv
import io
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, NotRequired, TypedDict, cast

from data.canonical import Document, content_id, sha256_of_file
from data.errors import Refused
from data.escape import harmless, shown
from data.measures.intervals import Estimate, proportion
from data.paths import sheets_prefix
from data.store import Store, folders, log
from data.store.manifest import Publication, publish, read_manifest

COLUMNS = ("item", "source", "summary", "accurate", "note")
WORDS = {"yes": True, "y": True, "1": True, "true": True, "no": False, "n": False, "0": False, "false": False}
MOST_BYTES = 20_000_000


class KeyItem(TypedDict):
    """The query and the system behind one item of a sheet, in key/items.json."""

    query_id: str
    system: str


class SheetEntry(TypedDict):
    """An entry in the log of filled sheets."""

    kind: str
    sheet: str
    file_sha256: str
    by: str
    counts: dict[str, list[int]]  # by system: accurate items, all items
    notes: dict[str, str]  # by item
    number: NotRequired[int]  # the log adds number and time
    at: NotRequired[str]


class Item(NamedTuple):
    """One summary to be read."""

    query_id: str
    source: str
    system: str  # data.evaluation.human_evaluation.identity
    summary: str


class Reading(NamedTuple):
    """Share of accurate summaries of one system by one reader."""

    sheet: str
    by: str
    at: str
    system: str
    accurate: Estimate


def publish_sheet(store: Store, campaign: str, items: Sequence[Item], request: Document, secret: int) -> Publication:
    """Publish a sheet, once for every request, and return it. `secret` is the seed of the order of its items."""
    if (published := published_sheet(store, campaign, request)) is not None:
        return published
    began, order = datetime.now(UTC), random.Random(secret).sample(list(items), len(items))
    text = io.StringIO(newline="")
    key: dict[str, KeyItem] = {}
    table = csv.writer(text)
    table.writerow(COLUMNS)
    for number, item in enumerate(order, 1):
        name = f"i{content_id(request)[1:7]}-{number:03d}"
        table.writerow([name, harmless(item.source), harmless(item.summary), "", ""])
        key[name] = {"query_id": item.query_id, "system": item.system}
    content = text.getvalue().encode("utf-8-sig")  # the byte-order mark shows spreadsheets that it is UTF-8
    files: dict[str, Path | bytes] = {"sheet.csv": content, "key/items.json": json.dumps(key).encode()}
    facts = {"sheet": content_id(request), "items": len(order), "systems": sorted({item.system for item in items})}
    return publish(
        store, f"{sheets_prefix(campaign)}/{facts['sheet']}", "sheet", files, inputs=request, facts=facts, began=began
    )


def published_sheet(store: Store, campaign: str, request: Document) -> Publication | None:
    """Return the published sheet of a request; None if there is none."""
    return read_manifest(store, f"{sheets_prefix(campaign)}/{content_id(request)}")


def read_sheet(store: Store, campaign: str, file: Path, by: str) -> list[Reading]:
    """Store a filled sheet, once, and return its readings by system; raise Refused if the sheet is not complete."""
    if not (by := by.strip()):
        raise Refused("The sheet has no reader. Give the reader's name with --by.")
    rows = _rows(file)
    sheet, key = _sheet_of(store, campaign, rows, file.name)
    answers = {item: _accurate(cells, item, file.name) for item, cells in rows.items()}
    counts: dict[str, list[int]] = {}
    for item, accurate in answers.items():
        count = counts.setdefault(key[item]["system"], [0, 0])
        count[0], count[1] = count[0] + accurate, count[1] + 1
    digest = sha256_of_file(file)
    store.put_file(f"{sheet.prefix}/filled/{digest}.csv", file)
    notes = {item: cells["note"] for item, cells in rows.items() if cells["note"]}
    entry: SheetEntry = {
        "kind": "sheet",
        "sheet": sheet["sheet"],
        "file_sha256": digest,
        "by": by,
        "counts": counts,
        "notes": notes,
    }

    def decide(entries: list[Document]) -> Document | None:
        mine = [earlier for earlier in entries if (earlier["sheet"], earlier["by"]) == (entry["sheet"], by)]
        return None if mine and mine[-1]["file_sha256"] == digest else cast(Document, entry)

    log.append(store, f"{sheets_prefix(campaign)}/log", decide)
    return [reading for reading in readings(store, campaign) if reading.sheet == sheet["sheet"]]


def sheet_log(store: Store, campaign: str) -> list[SheetEntry]:
    """Return the log of filled sheets, oldest first."""
    return cast(list[SheetEntry], log.entries(store, f"{sheets_prefix(campaign)}/log"))


def readings(store: Store, campaign: str) -> list[Reading]:
    """Return the readings of all sheets. If a reader filled in a sheet twice, the last one counts."""
    last = {(entry["sheet"], entry["by"]): entry for entry in sheet_log(store, campaign)}
    return [
        Reading(entry["sheet"], entry["by"], entry["at"], system, proportion(right, n))
        for entry in last.values()
        for system, (right, n) in sorted(entry["counts"].items())
    ]


def _rows(file: Path) -> dict[str, Mapping[str, str]]:
    if not file.is_file() or file.stat().st_size > MOST_BYTES:
        raise Refused(f"The sheet {file} does not exist, or is larger than {MOST_BYTES:,} bytes. Correct the path.")
    try:
        text = file.read_text(encoding="utf-8-sig")
        separator = max(",;\t", key=text.partition("\n")[0].count)  # spreadsheets use the separator of their country
        table = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
        columns = table.fieldnames = [name.strip().lower() for name in table.fieldnames or ()]
        rows = [
            row for row in table if any((row[name] or "").strip() for name in columns)
        ]  # spreadsheets leave empty rows
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise Refused(f"{file.name} cannot be read as CSV in UTF-8: {error}.") from error
    if missing := {"item", "accurate"} - set(columns):
        raise Refused(f"{file.name} has no column {sorted(missing)[0]}. Fill in the file that andon sheet wrote.")
    by_item: dict[str, Mapping[str, str]] = {
        (row["item"] or "").strip(): {n: (row.get(n) or "").strip() for n in ("accurate", "note")} for row in rows
    }
    if len(by_item) < len(rows):
        raise Refused(f"{file.name} has an item twice. Remove one of its rows.")
    return by_item


def _sheet_of(
    store: Store, campaign: str, rows: Mapping[str, Mapping[str, str]], name: str
) -> tuple[Publication, Mapping[str, KeyItem]]:
    """Return the sheet with exactly these items, and its key."""
    for sheet in _sheets(store, campaign):
        key: Mapping[str, KeyItem] = json.loads(sheet.path("key/items.json").read_text("utf-8"))
        if key.keys() == rows.keys():
            return sheet, key
    raise Refused(
        f"{name} is not a complete sheet of campaign {campaign}: no sheet has exactly its {len(rows)} items. "
        "Fill in the file that andon sheet wrote, with all its rows."
    )


def _sheets(store: Store, campaign: str) -> Iterator[Publication]:
    for name in folders(store, sheets_prefix(campaign)):
        if (sheet := read_manifest(store, f"{sheets_prefix(campaign)}/{name}")) is not None:
            yield sheet


def _accurate(cells: Mapping[str, str], item: str, name: str) -> bool:
    word = cells["accurate"].lower()
    if word not in WORDS:
        raise Refused(
            f"{name}: item {item}: accurate is {shown(cells['accurate'], 40)}, expected yes or no. Correct the sheet."
        )
    return WORDS[word]
