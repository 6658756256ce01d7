"""What a format is: what it writes, what it reads, how a file of it is recognised, and what it loses."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data.exchange.columns import AnswerFile
from data.exchange.content import Content
from data.exchange.labeled import Labeled
from data.exchange.questions import Questions

WriteQuestions = Callable[[Questions, Path], list[Path]]  # write questions into a folder and return the files
WriteLabels = Callable[[Labeled, Path], None]  # write the labels of a set as one file
ReadAnswers = Callable[[Content], AnswerFile]  # read the answers of a delivered file, in bounded memory
Recognise = Callable[[Content], bool]  # whether a delivered file is of the format


@dataclass(frozen=True)
class Format:
    """A format of questions, answers or labels. What a format does not do is None."""

    name: str  # as the command line has it
    help: str  # one line for people
    loses: frozenset[str] = frozenset()  # what does not come back: of an answer from a tool, of a label to a trainer
    write_questions: WriteQuestions | None = None
    write_labels: WriteLabels | None = None
    recognise: Recognise | None = None
    read: ReadAnswers | None = None
    elsewhere: str | None = None  # why and where a recognised file is taken in, if `andon ingest` does not read it
    is_general: bool = False  # takes every file of its kind, so it is asked after the formats of single tools
