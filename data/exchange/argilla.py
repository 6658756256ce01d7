"""Argilla 2: records with the settings of their dataset, and exported records as answers.

Lost on the way back: the time an answer took, and ties of a ranking, which its client does not export.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from data.exchange.questions import Questions, Shown, write_lines


def write(questions: Questions, folder: Path) -> list[Path]:
    first = list(islice(iter(questions), 1))
    (folder / "settings.json").write_text(json.dumps(settings(first[0]), indent=2, ensure_ascii=False), "utf-8")
    lines = (json.dumps(record(question), ensure_ascii=False) for question in questions)
    return [folder / "settings.json", write_lines(folder / "records.jsonl", lines)]


def settings(question: Shown) -> dict[str, Any]:
    """Return fields and questions of the dataset: what `argilla.Settings` is made from."""
    names = [f"option_{position}" for position in range(len(question.options))]
    return {
        "guidelines": question.instructions,
        "fields": [{"name": name, "use_markdown": False} for name in ("query", *names)],
        "questions": [
            {"name": "best", "type": "label", "labels": [*names, "skip"], "required": True},
            {"name": "confidence", "type": "rating", "values": list(range(1, 10)), "required": False},
            {"name": "note", "type": "text", "required": False},
        ],
    }


def record(question: Shown) -> dict[str, Any]:
    fields = {"query": question.query} | {f"option_{n}": text for n, text in enumerate(question.options)}
    return {"id": question.question_id, "fields": fields, "metadata": {"content_sha256": question.content_sha256}}


def answers(records: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Turn exported records into answer rows, one a submitted or discarded response."""
    for exported in records:
        by_user: dict[str, dict[str, Any]] = {}
        for name, responses in (exported.get("responses") or {}).items():
            for response in responses:
                row = by_user.setdefault(str(response.get("user_id")), {"best": None})
                if response.get("status") == "discarded" or response.get("value") == "skip":
                    row["skip"] = True
                elif name in ("best", "confidence", "note"):
                    value = response.get("value")
                    chosen = isinstance(value, str) and value.startswith("option_") and value[7:].isdigit()
                    row[name] = int(value[7:]) if chosen and name == "best" else value
        metadata = exported.get("metadata") or {}
        ids = {"question_id": exported.get("id"), "content_sha256": metadata.get("content_sha256")}
        yield from ({**ids, "labeler_id": user, **row} for user, row in by_user.items())
