"""Argilla 2: records with the settings of their dataset, and exported records as answers.

Its client exports no times, a ranking without its ties, and drafts and discarded answers like all others: export what
was submitted, with the filter `response.status = submitted`; who will not answer says so by `skip`. Flattened records,
with `best.responses`, `best.responses.users` and `best.responses.status`, tell them apart. Records as its server's API
has them, by user with `values`, `status`, `inserted_at` and a ranking as `{"value", "rank"}`, in a list or in `items`,
keep ties and times too.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.answers import BY_NAME, KINDS
from data.answers.base import option_names
from data.exchange.columns import AnswerFile
from data.exchange.content import Content
from data.exchange.format import Format
from data.exchange.json_rows import json_chunks
from data.exchange.questions import OTHER_FORM, STOP, Questions, ShownQuestion, unreadable, write_lines

if TYPE_CHECKING:
    from data.campaign.settings import Ask

NOTHING = "none"  # a question with labels needs two of them
TEXTS = ("note", "critique", "correction")
RESPONSES = ".responses"  # follows the name of a question in flattened records


def write(questions: Questions, folder: Path) -> list[Path]:
    made = settings(questions.first(), questions.ask)
    (folder / "settings.json").write_text(json.dumps(made, indent=2, ensure_ascii=False), "utf-8")
    lines = (json.dumps(record(question), ensure_ascii=False) for question in questions)
    return [folder / "settings.json", write_lines(folder / "records.jsonl", lines)]


def settings(question: ShownQuestion, ask: "Ask") -> dict[str, Any]:
    """Return fields, questions and metadata of the dataset: what `argilla.Settings` is made from."""
    names = option_names(len(question.options))
    texts = {"critique": ask.critique, "correction": ask.correction, "note": True}
    return {
        "guidelines": question.instructions,
        "fields": [{"name": name, "use_markdown": False} for name in ("query", *names)],
        "questions": [
            *BY_NAME[ask.kind].argilla(names, ask.axes),
            {"name": "confidence", "type": "rating", "values": list(range(1, 10)), "required": False},
            *({"name": name, "type": "text", "required": False} for name, wanted in texts.items() if wanted),
            {"name": "flags", "type": "multi_label", "labels": [STOP, NOTHING], "required": False},
        ],
        "metadata": [{"name": "content_sha256", "type": "terms"}],
    }


def record(question: ShownQuestion) -> dict[str, Any]:
    fields = {"query": question.query} | dict(zip(option_names(len(question.options)), question.options, strict=True))
    return {"id": question.question_id, "fields": fields, "metadata": {"content_sha256": question.content_sha256}}


def answers(records: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Turn exported records into answer rows, one a submitted or discarded response; drafts are none."""
    for exported in records:
        try:
            yield from list(_rows(_nested(exported) if is_flat(exported) else exported))
        except OTHER_FORM:
            name = exported.get("external_id") or exported.get("id")
            responses = {key: value for key, value in exported.items() if "responses" in key}
            yield {"question_id": name, **unreadable(responses)}


def is_flat(names: Iterable[str]) -> bool:
    """Say whether these are the keys of a flattened record that was answered."""
    return any(name.endswith(RESPONSES) for name in names)


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return a flattened record as the client exports others; what it lacks and another record has is None there."""
    responses = {}
    for key in (key for key in flat if key.endswith(RESPONSES) and flat[key] is not None):
        columns = zip(flat[key], flat[f"{key}.users"], flat[f"{key}.status"], strict=True)
        responses[key.removesuffix(RESPONSES)] = [
            {"value": value, "user_id": user, "status": status} for value, user, status in columns
        ]
    fields = {key: text for key, text in flat.items() if key.startswith("option_") and isinstance(text, str)}
    metadata = {"content_sha256": flat.get("content_sha256")}
    return {"id": flat.get("id"), "fields": fields, "metadata": metadata, "responses": responses}


def _rows(exported: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Read the responses to one record, by user; what is of another form is a row of its own."""
    count = sum(name.startswith("option_") for name in exported.get("fields") or {})
    ids = {
        "question_id": exported.get("external_id") or exported.get("id"),
        "content_sha256": (exported.get("metadata") or {}).get("content_sha256"),
    }
    by_user: dict[str | None, dict[str, Any]] = {}
    times: dict[str | None, Any] = {}
    discarded = set()
    for name, response in _responses(exported.get("responses") or {}):
        if not isinstance(response, Mapping):
            yield ids | unreadable({name: response})
            continue
        if response.get("status") == "draft":
            continue
        user = None if response.get("user_id") is None else str(response["user_id"])
        given = by_user.setdefault(user, {})
        times[user] = _in_utc(response.get("inserted_at"))
        if response.get("status") == "discarded" or response.get("value") in ("skip", ["skip"]):
            discarded.add(user)
        else:
            given[name] = response.get("value")
    for user, given in by_user.items():
        row = {**ids, "labeler_id": user, "best": None, "answered_at": times[user]}
        try:
            yield row | ({"skip": True} if user in discarded else _answer(given, count))
        except OTHER_FORM:
            yield row | unreadable(given)


def _responses(responses: Any) -> Iterator[tuple[str, Any]]:
    """Yield each response with the name of its question: the client has them by question, the server by user."""
    if isinstance(responses, list):
        for response in responses:
            for name, value in (response.get("values") or {"": {}}).items():
                yield name, {**response, **value}
    else:
        for name, several in responses.items():
            yield from ((name, response) for response in several or ())


def _in_utc(moment: Any) -> Any:
    """Return a time of the server, which writes UTC without saying so; what is no time as it is."""
    try:
        found = datetime.fromisoformat(moment)
    except (TypeError, ValueError):
        return moment
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()


def _answer(given: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Read the answer of one user to a record of so many options; `given` has it by the names of the questions."""
    answer = {name: given[name] for name in ("confidence", *TEXTS) if name in given}
    for kind in KINDS:
        answer |= kind.from_argilla(given, count)
    flags = given.get("flags") or []
    if flags := [flag for flag in ([flags] if isinstance(flags, str) else flags) if flag != NOTHING]:
        answer["flags"] = flags
    return answer


def recognise(content: Content) -> bool:
    names = content.names
    return ({"responses", "fields"} <= {*names} or is_flat(names)) and "question_id" not in names


def read(content: Content) -> AnswerFile:
    return AnswerFile([], json_chunks(answers(content.objects())))


FORMAT = Format(
    name="argilla",
    help="Argilla 2: records with the settings of their dataset; back come its exported records",
    loses=frozenset({"seconds", "answered_at", "supersedes", "ties"}),
    write_questions=write,
    recognise=recognise,
    read=read,
)
