"""What the summarization datasets need before they are asked about: the released code's rules."""

import re
from collections.abc import Callable

from ftfy import fix_text

HIGHLIGHT = "@highlight"
CO_AUTHOR = re.compile(r"and [A-Z][\w'-]*(?: [A-Z][\w.'-]*){0,5}")
TIMESTAMP = re.compile(r"(?:PUBLISHED|UPDATED|Last updated at)\b.{0,40}|\d{1,2}:\d\d \w{2,4}, \d{1,2} \w+ \d{4}")
DATELINE = re.compile(r"\A[^\n]{0,80}?\(CNN[^)\n]{0,30}\)\s*--\s*")
STAGE_NOTE = re.compile(
    r"\s*\((?:applause|laughter|boos)[^)]*\)|\s*\[(?:applause|laughter|boos)[^\]]*\]", re.IGNORECASE
)
DASHES = str.maketrans({"—": "--", "–": "-"})
BARE_DATELINE = re.compile(r"\(CNN\)\s*")


def none(text: str) -> str:
    """Leave a text as it is."""
    return text


def tldr(text: str) -> str:
    """A Reddit post: broken characters repaired, at most one blank line in a row."""
    return squeeze(fix_text(text)).strip()


def cnndm(text: str) -> str:
    """A news article: without byline, times of publication, dateline, and the highlights that summarize it."""
    text = squeeze(fix_text(text.split(HIGHLIGHT)[0]))
    text = DATELINE.sub("", without_header(text), count=1)
    return (BARE_DATELINE.sub("", text[:100], count=1) + text[100:]).strip()


def speeches(text: str) -> str:
    """A speech: without "(Applause.)" and the like, quotes and dashes as one types them, on one line."""
    return " ".join(STAGE_NOTE.sub("", fix_text(text)).translate(DASHES).split())


def without_header(text: str) -> str:
    """Drop byline, co-authors and times, each on a line of its own, from the head of an article."""
    lines = text.split("\n")
    while lines:
        line = lines[0].strip(" .|\t:")
        if line == "By":
            lines = [later for later in lines[1:] if later.strip(" .|")][1:]
        elif not line or TIMESTAMP.fullmatch(line) or CO_AUTHOR.fullmatch(line):
            lines = lines[1:]
        else:
            break
    return "\n".join(lines)


def squeeze(text: str) -> str:
    """Leave at most one blank line in a row."""
    return re.sub(r"\n{3,}", "\n\n", text)


CLEANINGS: dict[str, Callable[[str], str]] = {"none": none, "tldr": tldr, "cnndm": cnndm, "speeches": speeches}


def clean(name: str, text: str) -> str:
    """Clean a text as its dataset needs it."""
    return CLEANINGS[name](text)
