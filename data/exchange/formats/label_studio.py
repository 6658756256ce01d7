"""Label Studio: tasks to import with the labeling config that shows them, and its full JSON export as answers.

The config asks for what the campaign asks for: a choice, a ranking by places (options in one place tie), or ratings;
with critique, correction, confidence, note, a skip, and the flag that stops the line. JSON_MIN and CSV exports drop
what was cancelled, so the full JSON is asked for. A project of one's own may use its Ranker without places, which has
no ties, or Pairwise, which has two options and no tie.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.answers import BY_NAME, DETAILED, KINDS
from data.answers.base import Option, option_names
from data.exchange.columns import AnswerFile
from data.exchange.content import Content
from data.exchange.format import Format
from data.exchange.json_rows import json_chunks
from data.exchange.questions import OTHER_FORM, STOP, Questions, ShownQuestion, unreadable

if TYPE_CHECKING:
    from data.campaign.settings import Ask

TASKS_PER_FILE = 5_000  # its import reads a file at once
LETTERS = "ABCDEFGHIJ"
TEXTS = ("note", "critique", "correction")


def write(questions: Questions, folder: Path) -> list[Path]:
    config_file = folder / "labeling-config.xml"
    config_file.write_text(config(questions.first(), questions.ask), encoding="utf-8")
    rows, files = iter(questions), [config_file]
    for first in rows:
        files.append(folder / f"tasks-{len(files):04d}.json")
        with files[-1].open("w", encoding="utf-8") as file:  # one by one: as objects, tasks are many times their text
            file.write("[" + json.dumps(task(first), ensure_ascii=False))
            file.writelines(
                ", " + json.dumps(task(question), ensure_ascii=False) for question in islice(rows, TASKS_PER_FILE - 1)
            )
            file.write("]")
    return files


def task(question: ShownQuestion) -> dict[str, Any]:
    shown = zip(_options(question), question.options, strict=True)
    items = [{"id": option.name, "title": option.title, "body": text} for option, text in shown]
    ids = {"question_id": question.question_id, "content_sha256": question.content_sha256}
    return {"data": {**ids, "query": question.query, "items": items}}


def _options(question: ShownQuestion) -> list[Option]:
    names = option_names(len(question.options))
    return [Option(name, f"Option {LETTERS[position]}") for position, name in enumerate(names)]


def config(question: ShownQuestion, ask: "Ask") -> str:
    """Return the labeling config for questions with as many options as this one."""
    texts = {"critique": ask.critique, "correction": ask.correction, "note": True}
    lines = [
        f'<Header value="{escape(question.instructions)}"/>',
        '<Text name="query" value="$query"/>',
        '<List name="samples" value="$items"/>',
        *BY_NAME[ask.kind].label_studio(_options(question), ask.axes),
        '<Header value="How sure are you?"/>',
        '<Rating name="confidence" toName="query" maxRating="9"/>',
        *(
            f'<TextArea name="{name}" toName="query" rows="2" placeholder="{name}"/>'
            for name, wanted in texts.items()
            if wanted
        ),
        f'<Choices name="flags" toName="query" choice="multiple"><Choice value="{STOP}"/></Choices>',
    ]
    return "\n  ".join(["<View>", *lines]) + "\n</View>\n"


def answers(tasks: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Turn a full JSON export into answer rows, one an annotation; cancelled ones are skips."""
    for exported in tasks:
        annotations = exported.get("annotations") or []
        for annotation in annotations if isinstance(annotations, list) else [[annotations]]:
            yield _row(exported.get("data") or {}, annotation)


def _row(data: Any, annotation: Any) -> dict[str, Any]:
    """Read one annotation; one of another form becomes a row that is set aside, and harms no other."""
    row: dict[str, Any] = {}
    try:
        row |= {name: data.get(name) for name in ("question_id", "content_sha256")}
        row |= {"labeler_id": _who(annotation.get("completed_by")), "best": None}
        row |= {"seconds": annotation.get("lead_time"), "answered_at": annotation.get("created_at")}
        return row | _answer(annotation, len(data.get("items") or ()))
    except OTHER_FORM:
        return row | unreadable(annotation)


def _who(completed_by: Any) -> str | None:
    if isinstance(completed_by, Mapping):
        completed_by = completed_by.get("email") or completed_by.get("id")
    return None if completed_by is None else str(completed_by)


def _answer(annotation: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Read all results of an annotation: what was answered about a question of so many options."""
    if annotation.get("was_cancelled"):
        return {"skip": True}
    results = [(str(result.get("from_name")), result.get("value") or {}) for result in annotation.get("result") or []]
    others = {name for name, value in results if value.get("choices") and not (_is_ours(name) or name == "flags")}
    answered = any(
        _is_ours(name) or any(kind.reads_label_studio(name, value) for kind in DETAILED) for name, value in results
    )
    if len(others) > 1 and not answered:
        raise ValueError("which of several choices is the answer is not said")
    if answered:
        results = [(name, value) for name, value in results if name not in others]  # the vendor's own questions
    answer: dict[str, Any] = {}
    for kind in KINDS:
        if own := [result for result in results if kind.reads_label_studio(*result)]:
            answer |= kind.from_label_studio(own, count)
            results = [result for result in results if result not in own]
    for name, value in results:
        answer |= _detail(name, value)
    return answer


def _is_ours(name: str) -> bool:
    return name == "skip" or any(kind.is_control(name) for kind in KINDS)


def _detail(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """Read one result that is no answer: flags, a confidence or a text."""
    if chosen := value.get("choices"):
        return {"flags": chosen}
    if "rating" in value and name == "confidence":
        return {"confidence": value["rating"]}
    if text := value.get("text"):
        written = text if isinstance(text, str) else "\n".join(map(str, text))
        return {name if name in TEXTS else "note": written}
    return {}


def recognise(content: Content) -> bool:
    return "annotations" in content.names and "question_id" not in content.names


def read(content: Content) -> AnswerFile:
    return AnswerFile([], json_chunks(answers(content.objects())))


FORMAT = Format(
    name="label-studio",
    help="Label Studio: tasks with their labeling config; back comes its full JSON export",
    loses=frozenset({"supersedes"}),
    write_questions=write,
    recognise=recognise,
    read=read,
)
