"""Every adapter there and back: what it says it loses is lost, and nothing else is."""

import csv
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.answers.base import compact, option_names
from data.answers.ratings import AXES
from data.batches.schema import content_sha256
from data.exchange.formats import argilla, hh_rlhf, label_studio
from data.exchange.formats.openai_2019 import VOCABULARY, read_published_labels
from data.exchange.labeled import Labeled
from data.exchange.questions import ShownQuestion
from data.exchange.registry import all_formats, label_writers, question_writers
from data.ingest.parse import parse_rows
from data.ingest.reader import open_answers

Answer = dict[str, Any]
PROPERTY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40).filter(str.strip)
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))


@st.composite
def rankings(draw: st.DrawFn, count: int) -> list[list[int]]:
    """Draw groups of all options, best first; some tie."""
    order = draw(st.permutations(range(count)))
    cuts = sorted(draw(st.sets(st.integers(1, count - 1))))
    return [sorted(order[a:b]) for a, b in zip([0, *cuts], [*cuts, count], strict=True)]


@st.composite
def answers(draw: st.DrawFn, count: int) -> Answer:
    """Draw all that one answer may say about a question of so many options."""
    rated = st.lists(st.integers(1, 7), min_size=count, max_size=count)
    axes = st.dictionaries(st.sampled_from(AXES), rated, min_size=1)
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "best": st.integers(0, count - 1),
        "ranking": rankings(count),
        "ratings": axes,
        "skip": st.just(True),
    }
    kind = draw(st.sampled_from(sorted(kinds)))
    if kind == "skip":
        return {"skip": True}
    more: dict[str, st.SearchStrategy[Any]] = {name: TEXT for name in ("note", "critique", "correction", "supersedes")}
    more |= {"confidence": st.integers(1, 9).map(float), "seconds": st.floats(0, 1e4).map(lambda s: round(s, 3))}
    more |= {"flags": st.just(["stop_run"]), "answered_at": MOMENTS.map(datetime.isoformat)}
    return {kind: draw(kinds[kind])} | draw(st.fixed_dictionaries({}, optional=more))


def shown(count: int) -> ShownQuestion:
    options = [f"text {n}" for n in range(count)]
    return ShownQuestion("qbbbbbbbbbbbbbbbb", content_sha256("Which?", "query", options), "Which?", "query", options)


def as_row(answer: Answer, question: ShownQuestion) -> dict[str, Any]:
    return {"question_id": question.question_id, "content_sha256": question.content_sha256, "labeler_id": "a"} | answer


def parquet(answer: Answer, question: ShownQuestion, path: Path) -> None:
    row = as_row(answer, question)
    row |= {"ratings": json.dumps(row["ratings"])} if "ratings" in row else {}
    pq.write_table(pa.Table.from_pylist([{"best": None} | row]), path)


def in_csv(answer: Answer, question: ShownQuestion, path: Path) -> None:
    row = {"best": ""} | as_row(answer, question)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(row)
        table.writerow(json.dumps(v) if isinstance(v, list | dict) else v for v in row.values())


def in_jsonl(answer: Answer, question: ShownQuestion, path: Path) -> None:
    path.write_text(json.dumps({"best": None} | as_row(answer, question)) + "\n", encoding="utf-8")


def rated(answer: Answer, names: list[str]) -> dict[str, int]:
    ratings = answer.get("ratings", {}).items()
    return {f"{axis}_{n}": value for axis, row in ratings for n, value in zip(names, row, strict=True)}


def in_label_studio(answer: Answer, question: ShownQuestion, path: Path) -> None:
    """Write what its export has after somebody answered with our labeling config."""
    names, results = option_names(len(question.options)), []
    numbers = rated(answer, names) | {name: answer[name] for name in ("confidence",) if name in answer}
    for name, number in numbers.items():
        results.append({"from_name": name, "type": "rating", "value": {"rating": int(number)}})
    for name in ("note", "critique", "correction"):
        if name in answer:
            results.append({"from_name": name, "type": "textarea", "value": {"text": [answer[name]]}})
    if "best" in answer:
        results.append({"from_name": "best", "type": "choices", "value": {"choices": [names[answer["best"]]]}})
    if "ranking" in answer:
        places = {f"place_{n}": [names[i] for i in group] for n, group in enumerate(answer["ranking"], 1)} | {"_": []}
        results.append({"from_name": "ranking", "type": "ranker", "value": {"ranker": places}})
    for name in ("skip", "flags"):
        if name in answer:
            chosen = answer[name] if name == "flags" else ["skip"]
            results.append({"from_name": name, "type": "choices", "value": {"choices": chosen}})
    annotation = {"completed_by": "a", "was_cancelled": False, "result": results}
    annotation |= {"lead_time": answer.get("seconds"), "created_at": answer.get("answered_at")}
    path.write_text(json.dumps([label_studio.task(question) | {"annotations": [annotation]}]), encoding="utf-8")


def in_argilla(answer: Answer, question: ShownQuestion, path: Path) -> None:
    """Write what its client exports after somebody answered with our settings."""
    names = option_names(len(question.options))
    said: dict[str, Any] = {
        name: answer[name] for name in ("note", "critique", "correction", "flags") if name in answer
    }
    said |= {"confidence": int(answer["confidence"])} if "confidence" in answer else {}
    said |= rated(answer, names)
    said |= {"best": names[answer["best"]]} if "best" in answer else {}
    said |= {"ranking": [names[i] for group in answer["ranking"] for i in group]} if "ranking" in answer else {}
    said |= {"skip": ["skip"]} if "skip" in answer else {}
    responses = {name: [{"value": value, "user_id": "a"}] for name, value in said.items()}
    path.write_text(json.dumps([argilla.record(question) | {"responses": responses}]), encoding="utf-8")


TOOLS: Mapping[str, Callable[[Answer, ShownQuestion, Path], None]] = {
    "parquet": parquet,
    "csv": in_csv,
    "jsonl": in_jsonl,
    "label-studio": in_label_studio,
    "argilla": in_argilla,
}


def expected(answer: Answer, loses: frozenset[str]) -> Answer:
    """Return what is left of an answer, as rows have it."""
    left = {name: value for name, value in answer.items() if name not in loses}
    if "ties" in loses and "ranking" in left:
        left["ranking"] = [[option] for group in left["ranking"] for option in group]
    if "ratings" in left:
        left["ratings"] = {axis: left["ratings"][axis] for axis in AXES if axis in left["ratings"]}
    return left | {name: compact(left[name]) for name in ("ranking", "ratings") if name in left}


def test_every_format_is_tried() -> None:
    assert set(TOOLS) == {*question_writers()}


@pytest.mark.parametrize("tool", sorted(TOOLS))
@PROPERTY
@given(st.integers(2, 5).flatmap(lambda count: st.tuples(st.just(count), answers(count))))
def test_an_answer_comes_back_from_a_tool_without_what_it_loses(
    tool: str, tmp_path: Path, drawn: tuple[int, Answer]
) -> None:
    count, answer = drawn
    question = shown(count)
    TOOLS[tool](answer, question, tmp_path / "a")
    (row,) = [row for part in open_answers(tmp_path / "a").chunks for row in parse_rows(part, "a").to_pylist()]
    assert row["problem"] is None
    ids = {"question_id": question.question_id, "content_sha256": question.content_sha256, "labeler_id": "a"}
    loses = all_formats()[tool].loses
    given_back = {name: v for name, v in row.items() if v is not None and v is not False and name not in ("row", *ids)}
    assert given_back == expected(answer, loses) and {name: row[name] for name in ids} == ids


@PROPERTY
@given(st.lists(TEXT, min_size=2, max_size=6), TEXT)
def test_a_question_shows_any_text_in_every_tool(options: list[str], query: str) -> None:
    question = ShownQuestion("qbcdfghjkmnpqrst", "c", "Which?", query, options)
    task = json.loads(json.dumps(label_studio.task(question)))["data"]
    record = json.loads(json.dumps(argilla.record(question)))
    assert (task["query"], [item["body"] for item in task["items"]]) == (query, options)
    assert list(record["fields"].values()) == [query, *options]


def label(query: str, texts: list[str], best: int, tokens: int = 1) -> tuple[dict[str, Any], int]:
    samples = [{"text": text, "tokens": [n + tokens], "policy": "p"} for n, text in enumerate(texts)]
    return {"query": query, "query_tokens": [tokens], "samples": samples, "shown": list(range(len(texts)))}, best


LABELED = Labeled([label("a b", ["c", "d", "e"], 0)])
CHANGED = {
    "query": Labeled([label("another", ["c", "d", "e"], 0)]),
    "response": Labeled([label("a b", ["another", "d", "e"], 0)]),
    "best": Labeled([label("a b", ["c", "d", "e"], 1)]),
    "tokens": Labeled([label("a b", ["c", "d", "e"], 0, tokens=2)]),
    "shown order": Labeled([(row | {"shown": [2, 1, 0]}, best) for row, best in LABELED.rows]),
    "label": Labeled([label("a b", ["c", "d"], 0), label("a b", ["c", "e"], 0)]),
    "end of the query": Labeled([label("a", ["b c", "b d", "b e"], 0)]),
}
TEXTS = {"query", "response", "end of the query"}  # what is lost with `texts`


@pytest.mark.parametrize("name", label_writers())
@pytest.mark.parametrize("aspect", sorted(CHANGED))
def test_a_change_shows_in_the_file_exactly_where_it_is_not_lost(name: str, aspect: str, tmp_path: Path) -> None:
    for file, labels in (("a", LABELED), ("b", CHANGED[aspect])):
        label_writers()[name](labels, tmp_path / file)
    lost = all_formats()[name].loses
    same = (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert same == (aspect in lost or ("texts" in lost and aspect in TEXTS))


LABELS = st.lists(
    st.tuples(TEXT, st.lists(TEXT, min_size=3, max_size=3, unique=True), st.integers(0, 2)), min_size=1, max_size=4
).map(lambda drawn: Labeled([label(*each) for each in drawn]))


def lines(name: str, labels: Labeled, path: Path) -> list[dict[str, str]]:
    label_writers()[name](labels, path)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


@PROPERTY
@given(LABELS)
def test_pairs_of_any_text_are_read_back_from_the_files_of_trainers(tmp_path: Path, labels: Labeled) -> None:
    pairs = list(labels.pairs())
    found = [(p["prompt"], p["chosen"][1:], p["rejected"][1:]) for p in lines("trl", labels, tmp_path / "a")]
    assert found == pairs
    whole = [(p["chosen"], p["rejected"]) for p in lines("trl-implicit", labels, tmp_path / "a")]
    assert whole == [(f"{query} {chosen}", f"{query} {other}") for query, chosen, other in pairs]
    turns = [(p["chosen"], p["rejected"]) for p in lines("hh-rlhf", labels, tmp_path / "a")]
    read_back = [tuple(text.removeprefix(hh_rlhf.HUMAN).split(hh_rlhf.ASSISTANT) for text in turn) for turn in turns]
    assert read_back == [([query, chosen], [query, other]) for query, chosen, other in pairs]


TOKENS = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=90)


@PROPERTY
@given(st.lists(st.tuples(TOKENS, st.lists(TOKENS, min_size=4, max_size=4), st.integers(0, 3)), min_size=1, max_size=4))
def test_the_tokens_of_2019_come_back(tmp_path: Path, drawn: list[tuple[list[int], list[list[int]], int]]) -> None:
    rows = [
        ({"query": "", "query_tokens": query, "samples": [{"text": "", "tokens": t} for t in samples]}, best)
        for query, samples, best in drawn
    ]
    label_writers()["openai2019"](Labeled(rows), tmp_path / "offline.json")
    assert [tuple(label) for label in read_published_labels(tmp_path / "offline.json")] == drawn
