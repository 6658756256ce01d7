"""The type of a format: functions that write, read and recognise its files, and the data that it loses."""

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
    """A format of questions, answers or labels. Functions that a format does not have are None."""

    name: str  # its name on the command line
    help: str  # one line for people
    loses: frozenset[str] = frozenset()  # data that a tool does not return, or that a trainer does not get
    write_questions: WriteQuestions | None = None
    write_labels: WriteLabels | None = None
    recognise: Recognise | None = None
    read: ReadAnswers | None = None
    elsewhere: str | None = None  # text that names the right command, if `andon ingest` cannot read a recognised file
    is_general: bool = False  # True if it recognises files of many tools, so that it is tried last
