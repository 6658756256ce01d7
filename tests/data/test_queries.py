"""Queries of every source come out alike, and news and posts come out fit to ask about."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.batches.composition import read_gold
from data.campaign import Campaign, load_campaign
from data.campaign.cleaning import clean
from data.campaign.queries import Query, edition, load_queries
from data.campaign.settings import TextFormat
from data.errors import Refused
from tasks.training import identify_run

ROWS = [{"query_id": f"q{i}", "text": f"Passage {i} of a book.", "response": f"Summary {i}."} for i in range(5)]


def rules(**changes: object) -> TextFormat:
    return load_campaign("sentiment", changes={"text": changes}).text


def write(folder: Path, kind: str, rows: list[dict[str, str]]) -> None:
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), folder / "train.parquet")
    elif kind == "jsonl":
        (folder / "train.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    else:
        (folder / "train.txt").write_text("\n\n".join(row["text"].replace(" of", "\nof") for row in rows) + "\n")


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "txt"])
def test_every_kind_of_file_gives_the_same_queries(tmp_path: Path, kind: str) -> None:
    write(tmp_path, kind, ROWS)
    queries = load_queries(rules(queries=str(tmp_path)), "train")
    assert [query.text for query in queries] == [row["text"] for row in ROWS]
    if kind != "txt":
        assert queries == [Query(**row) for row in ROWS]


def test_an_edition_is_of_what_ones_own_test_file_holds(tmp_path: Path) -> None:
    own = rules(queries=str(tmp_path))
    (tmp_path / "test.txt").write_text("One.")
    before = edition(own)
    (tmp_path / "test.txt").write_text("Two.")
    assert len(before) == 1 and edition(own) != before
    after = edition(own)
    (tmp_path / "train.txt").write_text("One.")
    assert edition(own, "train") == [*before, *after], "the train split is what the test split has not"
    assert edition(rules()) == []


def test_a_text_that_measures_is_not_trained_on(tmp_path: Path) -> None:
    write(tmp_path, "jsonl", ROWS)
    (tmp_path / "test.jsonl").write_text(json.dumps({"query_id": "other", "text": ROWS[1]["text"]}))
    own = rules(queries=str(tmp_path))
    assert [query.query_id for query in load_queries(own, "train")] == ["q0", "q2", "q3", "q4"]
    assert [query.query_id for query in load_queries(own, "test")] == ["other"]
    (tmp_path / "test.jsonl").write_text("\n".join(json.dumps(row) for row in ROWS))
    with pytest.raises(Refused, match="not in its test split too"):
        load_queries(own, "train")


def test_ids_may_be_numbers_and_a_blank_reference_is_none(tmp_path: Path) -> None:
    rows = [{"query_id": i, "text": f"Passage {i}.", "response": " " * i} for i in range(3)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    assert load_queries(rules(queries=str(tmp_path)), "train") == [Query(str(i), f"Passage {i}.") for i in range(3)]


def test_a_run_is_named_by_the_texts_it_learns_on(tmp_path: Path, campaign: Campaign) -> None:
    def named(row: dict[str, str]) -> str:
        write(tmp_path, "jsonl", [row])
        own = campaign.model_copy(update={"text": campaign.text.model_copy(update={"queries": str(tmp_path)})})
        return identify_run.fn(str(tmp_path / "store"), own, "ls1", 1)[0]

    assert named(ROWS[0]) == named(ROWS[0]) != named(ROWS[0] | {"response": "Another summary."})


def test_a_query_without_an_id_is_known_by_its_text(tmp_path: Path) -> None:
    write(tmp_path, "jsonl", [{"text": "One."}, {"text": "Two."}])
    first = load_queries(rules(queries=str(tmp_path)), "train")
    write(tmp_path, "jsonl", [{"text": "Zero."}, {"text": "One."}])
    second = load_queries(rules(queries=str(tmp_path)), "train")
    assert first[0].query_id == second[1].query_id and len({q.query_id for q in first + second}) == 3


def test_a_dataset_by_name_gives_its_columns_and_lends_a_test_split(tmp_path: Path) -> None:
    rows = [{"article": f"News {i}.", "highlights": f"N{i}."} for i in range(400)]
    pq.write_table(pa.Table.from_pylist([*rows, rows[0]]), tmp_path / "train.parquet")
    source = rules(queries=f"hub:{tmp_path}", columns=["article", "highlights"])
    train, test = load_queries(source, "train"), load_queries(source, "test")
    assert len(train) + len(test) == 400 and 1 <= len(test) < 30, "a repeated text counts once, in one of the splits"
    assert {q.text: q.response for q in train + test} == {row["article"]: row["highlights"] for row in rows}
    with pytest.raises(Refused, match="no column body; it has: article, highlights"):
        load_queries(rules(queries=f"hub:{tmp_path}", columns=["body", "highlights"]), "train")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.parquet", b"PAR1", "cannot be read"),
        ("train.jsonl", b'{"text": "a"}\n{"te', "cannot be read"),
        ("train.jsonl", b'{"body": "a"}\n', "cannot be read from .*text"),
        ("train.txt", b"\xff\xfe", "cannot be read"),
        ("train.txt", b"\n\n", "no query"),
        ("train.jsonl", b'{"query_id": "a", "text": "x"}\n{"query_id": "a", "text": "y"}\n', "repeat a query_id"),
        ("test.txt", b"x", "put a .parquet"),
        ("train.jsonl", b'{"text": "a"}\n{"text": 7}\n', "text of row 2 is 7, and must be text"),
        ("train.jsonl", b'{"text": "a"}\n[1]\n', "text of row 2 is None"),
        ("train.jsonl", b'{"text": "a", "response": ["b"]}\n', "response of row 1"),
        ("train.jsonl", b'{"text": "a \\ud800"}\n', "text of row 1 holds half a character"),
        ("train.jsonl", b'{"text": "a", "response": 0}\n', "response of row 1 is 0"),
        ("train.jsonl", b'{"text": "a", "query_id": {"n": 1}}\n', "query_id of row 1"),
        ("train.jsonl", b'{"text": "a", "query_id": "\\ud800"}\n', "query_id of row 1"),
    ],
)
def test_a_source_that_is_wrong_is_refused_in_a_sentence(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Refused, match=message):
        load_queries(rules(queries=str(tmp_path)), "train")


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("By .\nJane Q. Smith .\nand Tom Jones\nA dog ran off.", "A dog ran off."),
        ("LONDON, England (CNN) -- A dog ran off.", "A dog ran off."),
        ("(CNN)A dog ran off.", "A dog ran off."),
        ("A dog ran off. " * 10 + "He said (CNN) knew.", "A dog ran off. " * 10 + "He said (CNN) knew."),
        (
            "PUBLISHED:\n.\n06:21 EST, 12 March 2013\n.\n| .\nUPDATED:\n.\n11:12 EST, 12 March 2013\n.\nA dog ran.",
            "A dog ran.",
        ),
        ("A dog ran.\n\n\n\nIt\u2019s back.\n\n@highlight\n\nDog gone", "A dog ran.\n\nIt's back."),
        ("A caf\u00c3\u00a9 burned.", "A caf\u00e9 burned."),
        ("By the river a dog ran.\nIt swam.", "By the river a dog ran.\nIt swam."),
    ],
)
def test_an_article_keeps_its_text_and_nothing_else(raw: str, cleaned: str) -> None:
    assert clean("cnndm", raw) == cleaned


def test_a_speech_loses_what_the_stenographer_noted() -> None:
    heard = "We won. (Applause.)  Good [Laughter] night\u2014all.\nI\u2019m glad (and you are too)."
    assert clean("speeches", heard) == "We won. Good night--all. I'm glad (and you are too)."
    assert clean("speeches", clean("speeches", heard)) == clean("speeches", heard)


def test_a_post_keeps_its_paragraphs() -> None:
    assert clean("tldr", "  One\u2019s\n\n\n\ntwo.\n") == "One's\n\ntwo."
    assert clean("none", " as it is\n\n\n\n") == " as it is\n\n\n\n"


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize("content", [DEEP, '{"text": ' + DEEP + "}", "[1", '{"text": 1e999}', "\xff"])
def test_a_line_that_is_no_plain_json_is_one_line_that_names_the_file(content: str, tmp_path: Path) -> None:
    (tmp_path / "test.jsonl").write_text(content, encoding="latin-1")
    with pytest.raises(Refused, match="Queries cannot be read from") as refusal:
        load_queries(rules(queries=str(tmp_path)), "test")
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 400


def test_a_line_or_text_that_is_too_long_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.campaign.queries.MOST_BYTES_OF_LINE", 100)
    monkeypatch.setattr("data.campaign.queries.MOST_BYTES_OF_TEXT", 100)
    for name, reason in (("test.jsonl", "a line has more than 100 bytes"), ("test.txt", "has more than 100 bytes")):
        (tmp_path / name).write_text("x" * 101)
        with pytest.raises(Refused, match=reason):
            load_queries(rules(queries=str(tmp_path)), "test")
        (tmp_path / name).unlink()


@pytest.mark.parametrize("kind", ["pipe", "device", "endless file of the kernel", "folder"])
def test_gold_questions_and_campaigns_are_read_from_plain_files_only(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "device" else "/proc/kallsyms")
    for read in (lambda: read_gold(str(path), 4), lambda: load_campaign(str(path))):
        with pytest.raises(Refused) as refusal:
            read()
        assert "\n" not in str(refusal.value) and "odd.toml" in str(refusal.value)


def test_a_campaign_that_is_nested_without_end_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "deep.toml").write_text(f"a = {DEEP}")
    with pytest.raises(Refused, match=r"deep\.toml is nested too deeply"):
        load_campaign(str(tmp_path / "deep.toml"))


def test_gold_that_is_nested_without_end_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "gold.jsonl").write_text(f'{{"query": {DEEP}}}')
    with pytest.raises(Refused, match=r"gold\.jsonl, line 1: needs query, options and best") as refusal:
        read_gold(str(tmp_path / "gold.jsonl"), 4)
    assert "\n" not in str(refusal.value)
