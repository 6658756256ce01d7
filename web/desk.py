"""The desk: which labeler gets which question of a batch, and their answers.

Who works on which question is in memory only, for some minutes. The answers are in the store, and a server that was
killed reads them from there. If two labelers end up with one question all the same, the store lets one answer count.
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
from data.shapes import checked_settings
from data.store import Store

LEASE = 600.0  # seconds for which a question that was handed out waits for its answer
TEXTS = ("note", "critique", "correction")


class SaveResult(NamedTuple):
    """Whether an answer was saved. If not, `other` was there before it, or somebody else has the question."""

    saved: bool
    other: Document | None = None


class Desk:
    """Hands out the questions of one batch and takes the answers."""

    def __init__(self, store: Store, campaign: str, batch: Batch, clock: Callable[[], float] = time.monotonic) -> None:
        self.store, self.campaign, self.batch, self._clock = store, campaign, str(batch["batch"]), clock
        self.questions: Mapping[str, PageQuestion] = questions(batch)
        first = next(iter(self.questions.values()))
        self.instructions, self.options = first.instructions, len(first.options)
        self.ask = checked_settings(
            batch.facts.get("campaign", {}).get("ask", {}), Ask, f"The campaign of {self.batch}"
        )
        self._lock = threading.Lock()
        stored = saved(store, campaign, self.batch)
        self._answers = {name: versions for name, versions in stored.items() if name in self.questions}
        self._items: dict[str, dict[str, str]] = {}  # by labeler: the question that they answered of each item
        self._mine: dict[str, list[str]] = {}  # by labeler: the questions that they answered, the last one last
        for versions in sorted(self._answers.values(), key=lambda versions: str(versions[0]["answered_at"])):
            self._count(versions[0])
        waiting = [name for name in self.questions if name not in self._answers]
        random.shuffle(waiting)  # after a restart, nobody is handed what somebody else still looks at
        self._waiting = dict.fromkeys(waiting)
        self._leases: dict[str, tuple[str, float]] = {}  # question -> labeler, until when

    @property
    def finished(self) -> bool:
        return len(self._answers) >= len(self.questions)

    def progress(self, labeler: str) -> dict[str, int]:
        mine = len(self._mine.get(labeler, ()))
        return {"mine": mine, "answered": len(self._answers), "questions": len(self.questions)}

    def next_for(self, labeler: str, wanted: str | None = None) -> PageQuestion | None:
        """Return the question that a labeler has, or hand out another; None if there is none for them.

        If `wanted` is free, it is the one that is handed out: the labeler had it before the server was started again.
        """
        with self._lock:
            name = self._choice(labeler, wanted)
            if name is None:
                return None
            self._waiting.pop(name, None)
            self._leases[name] = labeler, self._clock() + LEASE
            return self.questions[name]

    def has_for(self, labeler: str) -> bool:
        """Tell whether there is a question for a labeler, without handing it out."""
        with self._lock:
            return self._choice(labeler, None) is not None

    def _choice(self, labeler: str, wanted: str | None) -> str | None:
        now = self._clock()
        for name, (holder, until) in list(self._leases.items()):
            if holder == labeler:
                return name
            if until < now:
                del self._leases[name]
                self._waiting[name] = None
        answered = self._items.setdefault(labeler, {})
        first = [wanted] if wanted in self._waiting else []
        return next((name for name in [*first, *self._waiting] if self.questions[name].item not in answered), None)

    def answered_by(self, labeler: str) -> list[str]:
        """Return the questions that a labeler answered, the last one first."""
        return self._mine.get(labeler, [])[::-1]

    def answers_to(self, labeler: str, question_id: str) -> list[Document]:
        """Return all versions of a labeler's own answer; empty if the question is not theirs."""
        versions = self._answers.get(question_id, [])
        return versions if versions and versions[0]["labeler_id"] == labeler else []

    def answer(self, labeler: str, question_id: str, version: int, form: Mapping[str, Any]) -> SaveResult:
        """Save an answer; it is durable when this returns. Raise Refused if it is none."""
        question = self.questions.get(question_id)
        if question is None:
            raise Refused("There is no such question in this batch. Load the page again.")
        answer = _columns(question, form, self.ask) | {
            "question_id": question_id,
            "content_sha256": question.content_sha256,
            "labeler_id": labeler,
            "presented": order_for(question, labeler),
            "answered_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        stored = self._answers.get(question_id, [])
        if version < 1 or version > len(stored) + 1:
            raise Refused("This corrects an answer that was not given. Load the page again.")
        if stored and stored[0]["labeler_id"] != labeler:
            return SaveResult(False, stored[-1])
        self._claim(labeler, question)
        holder, until = self._leases.get(question_id, (labeler, 0.0))
        if holder != labeler and until >= self._clock():
            self._give_up(labeler, question)
            return SaveResult(False)
        try:
            other = save(self.store, self.campaign, self.batch, version, answer)
        except BaseException:
            self._give_up(labeler, question)
            raise
        with self._lock:
            versions = self._answers.setdefault(question_id, [])
            if len(versions) < version:
                versions.append(other or answer)
                if version == 1:
                    self._count(versions[0])
            self._waiting.pop(question_id, None)
            self._leases.pop(question_id, None)
        if other is not None:
            self._give_up(labeler, question)
        return SaveResult(other is None, other)

    def _claim(self, labeler: str, question: PageQuestion) -> None:
        """Reserve the item of a question for a labeler; raise Refused if they answer another copy of it."""
        with self._lock:
            first = self._items.setdefault(labeler, {}).setdefault(question.item, question.question_id)
        if first != question.question_id:
            raise Refused("You have answered another copy of this question. Load the page again.")

    def _give_up(self, labeler: str, question: PageQuestion) -> None:
        """End a reservation, unless the labeler has answered the question."""
        with self._lock:
            if question.question_id not in self._mine.get(labeler, ()):
                self._items[labeler].pop(question.item, None)

    def _count(self, first: Document) -> None:
        labeler, name = str(first["labeler_id"]), str(first["question_id"])
        self._items.setdefault(labeler, {})[self.questions[name].item] = name
        self._mine.setdefault(labeler, []).append(name)


def order_for(question: PageQuestion, labeler: str) -> list[int]:
    """Return the order in which a labeler is shown the options: another order for each, the same at every look."""
    secret = f"{question.content_sha256} {labeler}".encode()
    return shown_order(secret, question.question_id, len(question.options))


def _columns(question: PageQuestion, form: Mapping[str, Any], ask: Ask) -> Document:
    """Return the columns of the answer that a browser sent; raise Refused if the form is not exactly one answer."""
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
            answer[name] = plain(value.strip())
    if form.get("flags"):
        answer["flags"] = list(form["flags"])
    return answer


def form_of(answer: Document, count: int, ask: Ask) -> Document:
    """Return a stored answer as the page sends it."""
    texts = {name: answer[name] for name in ("confidence", "flags", *TEXTS) if name in answer}
    if answer.get("skip"):
        return texts | {"choice": "skip"}
    if BY_NAME[ask.kind].ties and read_json("ranking", answer.get("ranking")) == tie(count):
        return texts | {"choice": "tie"}
    return texts | BY_NAME[ask.kind].to_page(answer, ask.axes)
