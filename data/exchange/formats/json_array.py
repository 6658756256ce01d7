"""JSON: an array with one answer an object. It is read as a whole, so large deliveries are better as lines."""

from data.exchange.columns import AnswerFile
from data.exchange.content import Content
from data.exchange.format import Format
from data.exchange.json_rows import read_rows


def read(content: Content) -> AnswerFile:
    return read_rows(content.path, content.names, content.objects())


FORMAT = Format(
    name="json",
    help="a JSON array, one object an answer",
    recognise=lambda content: content.is_json and not content.is_lines,
    read=read,
    is_general=True,
)
