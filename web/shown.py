"""Questions and answers as the page shows them to one labeler: text with its hidden characters written out."""

from data.canonical import Document
from data.escape import visible
from data.page.answers import PageQuestion
from web.desk import Desk, form_of, order_for

BEGINNING = 160  # characters of a text in the list of one's own answers


def shown_question(question: PageQuestion, labeler: str) -> Document:
    """Return a question with its options in the labeler's order; `choice` is the option's number in the batch."""
    options = [{"choice": i, "text": visible(question.options[i])} for i in order_for(question, labeler)]
    return {"question_id": question.question_id, "query": visible(question.query), "options": options}


def shown_answer(desk: Desk, question_id: str, labeler: str) -> Document:
    """Return a line of the list of one's own answers; `order` has the options as the labeler saw them."""
    question, versions = desk.questions[question_id], desk.answers_to(labeler, question_id)
    beginning = question.query[:BEGINNING] + ("..." if len(question.query) > BEGINNING else "")
    return {
        "question_id": question_id,
        "at": versions[-1]["answered_at"],
        "versions": len(versions),
        "query": visible(beginning),
        "order": order_for(question, labeler),
        "answer": form_of(versions[-1], desk.options, desk.ask),
    }
