"""The desk: which labeler gets which question of a batch, and what they answer.

Who works on what is kept in memory only, for some minutes; what was answered is in the store, and a server that was
killed reads it from there. Where two labelers end up with one question all the same, the store lets one answer count.
"""

import random
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from data.answers import BY_NAME
from data.answers.base import BadAnswer, compact, read_json
from data.answers.ranking import tie
from data.batches.index import Batch
from data.batches.schema import shown_order
from data.campaign.settings import Ask
from data.canonical import Document, plain
from data.errors import Refused
from data.page.answers import PageQuestion, questions, save, saved
from data.store import Store

LEASE = 600.0  # seconds for which a question that was handed out waits for its answer
TEXTS = ("note", "critique", "correction")
MOST_CHARACTERS = 2_000


class SaveResult(NamedTuple):
    """What became of an answer; `other` is the one that was there before it."""

    saved: bool
    other: Document | None = None


class Desk:
    """Hands out the questions of one batch and takes the answers."""

    def __init__(self, store: Store, campaign: str, batch: Batch, clock: Callable[[], float] = time.monotonic) -> None:
        self.store, self.campaign, self.batch, self._clock = store, campaign, str(batch["batch"]), clock
        self.questions: Mapping[str, PageQuestion] = questions(batch)
        first = next(iter(self.questions.values()))
        self.instructions, self.options = first.instructions, len(first.options)
        self.ask = Ask.model_validate(batch.facts.get("campaign", {}).get("ask", {}))
        self._lock = threading.Lock()
        self._answers = saved(store, campaign, self.batch)
        self._items: dict[str, set[str]] = {}  # by labeler
        self._last: dict[str, str] = {}
        self._count: dict[str, int] = {}
        for versions in sorted(self._answers.values(), key=lambda versions: str(versions[0]["answered_at"])):
            self._note(versions[0])
        waiting = [name for name in self.questions if name not in self._answers]
        random.shuffle(waiting)  # after a restart, nobody is handed what somebody else still looks at
        self._waiting = dict.fromkeys(waiting)
        self._leases: dict[str, tuple[str, float]] = {}  # question -> labeler, until when

    @property
    def finished(self) -> bool:
        return len(self._answers) >= len(self.questions)

    def progress(self, labeler: str) -> dict[str, int]:
        return {"mine": self._count.get(labeler, 0), "answered": len(self._answers), "questions": len(self.questions)}

    def next_for(self, labeler: str) -> PageQuestion | None:
        """Return the question that a labeler holds, or hand out another; None where there is none for them."""
        with self._lock:
            now = self._clock()
            for name, (holder, until) in list(self._leases.items()):
                if holder == labeler:
                    self._leases[name] = labeler, now + LEASE
                    return self.questions[name]
                if until < now:
                    del self._leases[name]
                    self._waiting[name] = None
            seen = self._items.setdefault(labeler, set())
            for name in self._waiting:
                if self.questions[name].item not in seen:
                    del self._waiting[name]
                    self._leases[name] = labeler, now + LEASE
                    return self.questions[name]
            return None

    def last_of(self, labeler: str) -> tuple[PageQuestion, list[Document]] | None:
        """Return what a labeler answered last, with all versions of the answer."""
        name = self._last.get(labeler)
        return (self.questions[name], self._answers[name]) if name else None

    def answer(self, labeler: str, question_id: str, version: int, form: Mapping[str, Any]) -> SaveResult:
        """Keep an answer; durable when this returns. Raise Refused for what is no answer."""
        question = self.questions.get(question_id)
        if question is None:
            raise Refused("There is no such question in this batch.")
        answer = _read(question, form, self.ask) | {
            "question_id": question_id,
            "content_sha256": question.content_sha256,
            "labeler_id": labeler,
            "presented": order_for(question, labeler),
            "answered_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        known = self._answers.get(question_id, [])
        if version < 1 or version > len(known) + 1:
            raise Refused("This corrects an answer that was not given: load the page again.")
        if known and known[0]["labeler_id"] != labeler:
            return SaveResult(False, known[-1])
        other = save(self.store, self.campaign, self.batch, version, answer)
        with self._lock:
            now_known = self._answers.setdefault(question_id, [])
            if len(now_known) < version:
                now_known.append(other or answer)
                if version == 1:
                    self._note(now_known[0])
            self._waiting.pop(question_id, None)
            self._leases.pop(question_id, None)
        return SaveResult(other is None, other)

    def _note(self, first: Document) -> None:
        labeler, name = str(first["labeler_id"]), str(first["question_id"])
        self._items.setdefault(labeler, set()).add(self.questions[name].item)
        self._last[labeler] = name
        self._count[labeler] = self._count.get(labeler, 0) + 1


def order_for(question: PageQuestion, labeler: str) -> list[int]:
    """Return the order in which a labeler is shown the options: another one for each, the same whenever they look."""
    secret = f"{question.content_sha256} {labeler}".encode()
    return shown_order(secret, question.question_id, len(question.options))


def _read(question: PageQuestion, form: Mapping[str, Any], ask: Ask) -> Document:
    """Return the answer that a browser sent; raise Refused if the form is not exactly one answer."""
    kind, count = BY_NAME[ask.kind], len(question.options)
    answer: Document
    if form.get("choice") == "skip":
        answer = {"skip": True}
    elif form.get("choice") == "tie" and kind.ties:
        answer = {"ranking": compact(tie(count))}
    else:
        try:
            answer = kind.from_page(form, count, ask.axes)
        except BadAnswer as bad:
            raise Refused(str(bad)) from bad
    for name, most in (("seconds", 86_400.0), ("confidence", 1.0)):
        value = form.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most:
            answer[name] = float(value)
    for name in TEXTS:
        value = form.get(name)
        if isinstance(value, str) and value.strip():
            if len(value) > MOST_CHARACTERS:
                raise Refused(f"The {name} has more than {MOST_CHARACTERS:,} characters.")
            answer[name] = plain(value.strip())
    return answer


def form_of(answer: Document, count: int, ask: Ask) -> Document:
    """Return a stored answer as the page sends it."""
    texts = {name: answer[name] for name in ("confidence", *TEXTS) if name in answer}
    if answer.get("skip"):
        return texts | {"choice": "skip"}
    if BY_NAME[ask.kind].ties and read_json("ranking", answer.get("ranking")) == tie(count):
        return texts | {"choice": "tie"}
    return texts | BY_NAME[ask.kind].to_page(answer, ask.axes)
