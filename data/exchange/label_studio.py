"""Label Studio: tasks to import with the labeling config that shows them, and its full JSON export as answers.

Loses nothing on the way out. On the way back: JSON_MIN and CSV exports drop lead time and cancellations, so the full
JSON is asked for; its Pairwise has no tie, and no more than two options.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from itertools import islice
from pathlib import Path
from typing import Any

from data.exchange.questions import Questions, Shown

TASKS_PER_FILE = 5_000  # its import reads a file at once
LETTERS = "ABCDEFGHIJ"


def write(questions: Questions, folder: Path) -> list[Path]:
    rows, files = iter(questions), list[Path]()
    while part := list(islice(rows, TASKS_PER_FILE)):
        if not files:
            (folder / "labeling-config.xml").write_text(config(part[0]), encoding="utf-8")
            files.append(folder / "labeling-config.xml")
        files.append(folder / f"tasks-{len(files):04d}.json")
        files[-1].write_text(json.dumps([task(question) for question in part], ensure_ascii=False), encoding="utf-8")
    return files


def task(question: Shown) -> dict[str, Any]:
    items = [
        {"id": f"option_{position}", "title": f"Option {LETTERS[position]}", "body": text}
        for position, text in enumerate(question.options)
    ]
    ids = {"question_id": question.question_id, "content_sha256": question.content_sha256}
    return {"data": {**ids, "query": question.query, "items": items}}


def config(question: Shown) -> str:
    """Return the labeling config for questions with as many options as this one."""
    values = [*(f"option_{position}" for position in range(len(question.options))), "skip"]
    choices = "".join(f'<Choice value="{value}"/>' for value in values)
    return (
        f'<View>\n  <Header value="{escape(question.instructions)}"/>\n'
        '  <Text name="query" value="$query"/>\n  <List name="samples" value="$items"/>\n'
        '  <Ranker name="rank" toName="samples"/>\n'
        f'  <Choices name="best" toName="query" choice="single" showInline="true">{choices}</Choices>\n'
        '  <Rating name="confidence" toName="query" maxRating="9"/>\n'
        '  <TextArea name="note" toName="query" rows="2"/>\n</View>\n'
    )


def answers(tasks: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Turn a full JSON export into answer rows, one an annotation; cancelled ones are skips."""
    for exported in tasks:
        data = exported.get("data") or {}
        for annotation in exported.get("annotations") or []:
            row = {name: data.get(name) for name in ("question_id", "content_sha256")}
            row |= {"labeler_id": _who(annotation.get("completed_by")), "best": None}
            if annotation.get("lead_time") is not None:
                row["seconds"] = annotation["lead_time"]
            if annotation.get("was_cancelled"):
                row["skip"] = True
            for result in annotation.get("result") or []:
                row |= _said(result)
            yield row


def _who(completed_by: Any) -> str | None:
    if isinstance(completed_by, Mapping):
        completed_by = completed_by.get("email") or completed_by.get("id")
    return None if completed_by is None else str(completed_by)


def _said(result: Mapping[str, Any]) -> dict[str, Any]:
    """Read one result: a choice, a ranking (its first is best), a side of a pair, a rating or a text."""
    value = result.get("value") or {}
    if chosen := value.get("choices"):
        return {"skip": True} if chosen[0] == "skip" else {"best": _position(chosen[0])}
    if (ranker := value.get("ranker")) is not None:  # a bucket of ids, or the bare list of older versions
        ranked = ranker.get("rank") if isinstance(ranker, Mapping) else ranker
        return {"best": _position(ranked[0])} if ranked else {}
    if side := value.get("selected"):
        return {"best": {"left": 0, "right": 1}.get(side, side)}
    if "rating" in value:
        return {"confidence": value["rating"]}
    if text := value.get("text"):
        return {"note": text if isinstance(text, str) else "\n".join(map(str, text))}
    return {}


def _position(name: Any) -> Any:
    text = str(name)
    return int(text.removeprefix("option_")) if text.startswith("option_") and text[7:].isdigit() else name
