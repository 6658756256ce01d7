"""What labelers ask of their questions and answers: the next question, their own answers, and to save one."""

from collections.abc import Mapping

from data.canonical import Document
from data.errors import Refused
from data.page.accounts import Account
from web.desk import Desk, form_of
from web.desks import Desks
from web.forms import AnswerForm
from web.sessions import Sessions
from web.shown import shown_answer, shown_question

PORTION = 50  # of one's own answers, in one request
Query = Mapping[str, str]


class Answering:
    """The questions and answers of labelers, as the page's requests ask for them and get them."""

    def __init__(self, desks: Desks, sessions: Sessions) -> None:
        self.desks, self.sessions = desks, sessions

    def question(self, labeler: Account, query: Query) -> Document:
        """Hand out a question; a page that shows one asks for the same again (`held`, with its ticket)."""
        held, desk = query.get("held", ""), self.desks.of(query.get("held", ""))
        wanted = held if desk and self._was_shown(desk, held, labeler, query.get("ticket", "")) else None
        return self._next(labeler, wanted)

    def _next(self, labeler: Account, wanted: str | None = None) -> Document:
        desk, question = self.desks.next_for(labeler.name, wanted)
        if question is None:
            return self._document(desk, labeler, None)
        ticket = self.sessions.ticket(labeler.name, question.question_id, question.content_sha256)
        return self._document(desk, labeler, shown_question(question, labeler.name) | {"version": 1, "ticket": ticket})

    def last(self, labeler: Account, query: Query) -> Document:
        """Return the labeler's last answer, to be changed."""
        answered = self.desks.answered_by(labeler.name)
        if not answered:
            return self._document(self.desks.last, labeler, None)
        return self._mine(*answered[0], labeler)

    def mine(self, labeler: Account, query: Query) -> Document:
        """Return one of the labeler's own answers, to be changed."""
        desk = self.desks.of(query["question"])
        if desk is None or not desk.answers_to(labeler.name, query["question"]):
            raise Refused("You have not answered this question here. Choose another one in the list of your answers.")
        return self._mine(desk, query["question"], labeler)

    def all_mine(self, labeler: Account, query: Query) -> Document:
        """Return a portion of the labeler's own answers, the last one first."""
        begin = query.get("begin", "0")
        if not (begin.isascii() and begin.isdigit() and len(begin) < 10):
            raise Refused("The list begins at a number. Load the page again.")
        answered = self.desks.answered_by(labeler.name)
        portion = answered[int(begin) : int(begin) + PORTION]
        answers = [shown_answer(desk, question, labeler.name) for desk, question in portion]
        return {"answers": answers, "all": len(answered)}

    def _mine(self, desk: Desk, question_id: str, labeler: Account) -> Document:
        versions = desk.answers_to(labeler.name, question_id)
        before = form_of(versions[-1], desk.options, desk.ask)
        shown = shown_question(desk.questions[question_id], labeler.name)
        return self._document(desk, labeler, shown | {"version": len(versions) + 1, "before": before})

    def _document(self, desk: Desk, labeler: Account, question: Document | None) -> Document:
        return {"question": question, "batch": desk.batch, "progress": desk.progress(labeler.name)}

    def _was_shown(self, desk: Desk, question_id: str, labeler: Account, ticket: str) -> bool:
        content = desk.questions[question_id].content_sha256
        return self.sessions.same_ticket(labeler.name, question_id, content, ticket)

    def answer(self, labeler: Account, form: AnswerForm) -> Document:
        desk = self.desks.of(form.question_id)
        if desk is None:
            raise Refused("There is no such question in this batch. Load the page again.")
        if form.version == 1 and not self._was_shown(desk, form.question_id, labeler, form.ticket):
            raise Refused("You were not shown this question. Load the page again.")
        result = desk.answer(labeler.name, form.question_id, form.version, form.model_dump())
        self.desks.report_finished()
        made = {"saved": result.saved} | self._next(labeler)
        if result.saved:
            return made
        if result.other is None:
            why = "Somebody else has this question now: it was reserved for you for ten minutes."
            return made | {"status": 409, "error": why, "stored": None}
        mine = result.other["labeler_id"] == labeler.name
        why = "You answered this question before; that answer is valid." if mine else "Somebody else has answered it."
        stored = form_of(result.other, desk.options, desk.ask) if mine else None
        return made | {"status": 409, "error": why, "stored": stored}
