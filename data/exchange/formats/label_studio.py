"""Label Studio: tasks to import with the labeling config that shows them, and its full JSON export as answers.

The config asks for what the campaign asks for: a choice, a ranking by places (options in one place tie), or ratings;
with critique, correction, confidence, note, a skip, and the flag that stops the line. JSON_MIN and CSV exports drop
what was cancelled, so the full JSON is asked for. A project of one's own may use its Ranker without places, which has
no ties, or Pairwise, which has two options and no tie.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from itertools import islice
from pathlib import Path
from typing import Any

from data.campaign.settings import Ask
from data.exchange.columns import AnswerFile
from data.exchange.content import Content
from data.exchange.format import Format
from data.exchange.json_rows import json_chunks
from data.exchange.questions import (
    OTHER_FORM,
    STOP,
    Questions,
    ShownQuestion,
    option_names,
    position_of,
    rating_names,
    ratings_of,
    unreadable,
)

TASKS_PER_FILE = 5_000  # its import reads a file at once
LETTERS = "ABCDEFGHIJ"
PLACE = re.compile(r"place_([0-9]+)")
RATED = re.compile(r"[a-z]+_option_[0-9]+")
ANSWER_TAGS = {"best", "ranking", "skip"}  # tags of ours that answer, beside ratings
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
    shown = zip(option_names(len(question.options)), _titles(question), question.options, strict=True)
    items = [{"id": name, "title": title, "body": text} for name, title, text in shown]
    ids = {"question_id": question.question_id, "content_sha256": question.content_sha256}
    return {"data": {**ids, "query": question.query, "items": items}}


def _titles(question: ShownQuestion) -> list[str]:
    return [f"Option {LETTERS[position]}" for position in range(len(question.options))]


def config(question: ShownQuestion, ask: Ask) -> str:
    """Return the labeling config for questions with as many options as this one."""
    texts = {"critique": ask.critique, "correction": ask.correction, "note": True}
    lines = [
        f'<Header value="{escape(question.instructions)}"/>',
        '<Text name="query" value="$query"/>',
        '<List name="samples" value="$items"/>',
        *_asked(question, ask),
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


def _asked(question: ShownQuestion, ask: Ask) -> list[str]:
    """Return the part of the config that asks for an answer; a skip is always one."""
    count = len(question.options)
    skip = '<Choices name="skip" toName="query" choice="multiple"><Choice value="skip"/></Choices>'
    if ask.kind == "ranking":
        places = "".join(f'<Bucket name="place_{place}" title="Place {place}"/>' for place in range(1, count + 1))
        return [f'<Ranker name="ranking" toName="samples">{places}</Ranker>', skip]
    if ask.kind == "ratings":
        titles = [f"{title}: {axis}" for axis in ask.axes for title in _titles(question)]
        rated = zip(rating_names(ask, count), titles, strict=True)
        pairs = [
            (f'<Header value="{title}"/>', f'<Rating name="{name}" toName="query" maxRating="7"/>')
            for name, title in rated
        ]
        return [*(line for pair in pairs for line in pair), skip]
    options = zip([*option_names(count), "skip"], [*_titles(question), "Skip"], strict=True)
    choices = "".join(f'<Choice value="{title}" alias="{name}"/>' for name, title in options)
    return [f'<Choices name="best" toName="query" choice="single" required="true">{choices}</Choices>']


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
    said: dict[str, Any] = {}
    rated: dict[str, object] = {}
    results = [(str(each.get("from_name")), each.get("value") or {}) for each in annotation.get("result") or []]
    others = {name for name, value in results if value.get("choices") and name not in {*ANSWER_TAGS, "flags"}}
    answered = any(name in ANSWER_TAGS or RATED.fullmatch(name) or "ranker" in value for name, value in results)
    if len(others) > 1 and not answered:
        raise ValueError("which of several choices is the answer is not said")
    for name, value in results:
        if name in others and answered:
            continue  # a question of the vendor's own beside ours
        if "rating" in value and RATED.fullmatch(name):
            rated[name] = value["rating"]
        else:
            said |= _said(name, value, count)
    return said | ({"ratings": ratings_of(rated, count)} if rated else {})


def _said(name: str, value: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Read one result: a choice, flags, a ranking, a side of a pair, a confidence or a text."""
    if chosen := value.get("choices"):
        return {"flags": chosen} if name == "flags" else _chosen(chosen, count)
    if (ranker := value.get("ranker")) is not None:
        return {"ranking": _ranked(name, ranker)}
    if side := value.get("selected"):
        return {"best": {"left": 0, "right": 1}.get(side, side) if count == 2 else side}
    if "rating" in value and name == "confidence":
        return {"confidence": value["rating"]}
    if text := value.get("text"):
        written = text if isinstance(text, str) else "\n".join(map(str, text))
        return {name if name in TEXTS else "note": written}
    return {}


def _chosen(chosen: list[Any], count: int) -> dict[str, Any]:
    """Read a choice: an option, `skip`, or `tie` for all of them."""
    if not isinstance(chosen, list):
        raise TypeError("choices are a list")
    if chosen[0] == "skip":
        return {"skip": True}
    if chosen[0] == "tie":
        return {"ranking": [list(range(count))]}
    return {"best": position_of(chosen[0])} if len(chosen) == 1 else {"best": json.dumps(chosen)}


def _ranked(name: str, ranker: Any) -> Any:
    """Return groups of positions, best first; what cannot be read as given, so that its row says so.

    A dict has one list by the name of its tag, or the options of each place; older versions wrote a bare list.
    """
    if isinstance(ranker, Mapping):
        lists = {key: ids for key, ids in ranker.items() if key != "_" and ids}
        places = {int(found[1]): ids for key, ids in lists.items() if (found := PLACE.fullmatch(key))}
        if places and len(places) == len(lists):
            return [[position_of(each) for each in places[place]] for place in sorted(places)]
        if len(lists) != 1 or not set(lists) <= {name, "rank"}:
            return ranker
        (ranker,) = lists.values()
    return [[position_of(each)] for each in ranker]


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
