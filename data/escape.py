"""Text of others, made safe to show: in a message, on a terminal, in a log, a page, Markdown or a spreadsheet.

All functions that make text of others harmless are here, so that no other file invents one.
"""

import unicodedata
from functools import lru_cache

import regex

FORMULA = ("=", "+", "-", "@", "\t", "\r")
# Characters that show nothing, look like another one, or turn what follows, by their Unicode properties:
# controls, formats, private and unassigned ones, all that a font may ignore, and spaces that look like another space.
HIDDEN = regex.compile(r"[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}--[\u0020\n\t]]", regex.V1)
BLANK_NAME = regex.compile(r"\b(BLANK|FILLER|NULL NOTEHEAD)$")  # no ink; there is no property for it
MARK = regex.compile(r"\p{M}")
EMOJI = regex.compile(r"[\p{Emoji}\p{Emoji_Modifier}\ufe0f&&\P{ASCII}]", regex.V1)
WIDE = regex.compile(r"\p{East_Asian_Width=W}|\p{East_Asian_Width=F}")
JOINERS, STYLES, KEYCAP, WIDE_SPACE = "\u200c\u200d", "\ufe0e\ufe0f", "\u20e3", "\u3000"
VIRAMA = 9  # the combining class of the sign after which Indic scripts use joiners


def shown(value: object, longest: int = 60) -> str:
    """Quote a delivered value in a message: short, and with its control characters escaped."""
    return ascii(value)[:longest]


def in_ascii(text: str) -> str:
    """Return text without quotes, with every character that is not ASCII or not printable escaped."""
    return ascii(text)[1:-1]


def shown_name(name: str) -> str:
    """Return a file's name as it may be shown and written: what is not printable, or no UTF-8, is escaped."""
    return "".join(character if character.isprintable() else in_ascii(character) for character in name)


def first_line(error: BaseException) -> str:
    """Return the first line of what a library says of an error, with the next one if it ends with a colon.

    Returns the kind of the error if it says nothing.
    """
    lines = str(error).splitlines() or [type(error).__name__]
    first = " ".join(line.strip() for line in lines[: 2 if lines[0].rstrip().endswith(":") else 1])
    return in_ascii(first[:160].rstrip("."))


def harmless(text: str) -> str:
    """Return a cell that no spreadsheet runs as a formula (CWE-1236)."""
    return "'" + text if text.startswith(FORMULA) else text


def one_line(text: str) -> str:
    """Return what others wrote as one printable line: it may hold line ends or a terminal's control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def shortened(text: str, longest: int) -> str:
    """Return the beginning of a text, with an ellipsis if there is more of it."""
    return text if len(text) <= longest else text[: longest - 1] + "\u2026"


def is_blank(text: str) -> bool:
    """Tell whether a text shows nothing: it has no character, or only spaces, hidden characters, marks and fillers."""
    return all(c.isspace() or MARK.match(c) or _hides("", c, "") for c in text)


def as_code(text: str) -> str:
    """Return text as one line of code in Markdown, which renders nothing of it."""
    return "`" + one_line(text).replace("`", "'") + "`"


def visible(text: str) -> str:
    """Write every hidden character as its number, so that a reader sees what a model sees.

    Some characters are hidden only at their place: a mark without a letter, a space at the end of a line, and a joiner
    that joins nothing.
    """
    text = text.replace("\r\n", "\n")
    if text.isascii() and text.isprintable() and not text.endswith(" "):
        return text
    end = len(text.rstrip(" \t\n"))
    ends = [end + n for n in range(len(text) - end)]
    ends += [n for line in regex.finditer(r"[ \t]+(?=\n)", text) for n in range(*line.span())]
    at_ends, written, bare = set(ends), [], True  # bare: there is nothing that an accent could be put on
    for n, character in enumerate(text):
        if _always_shows(character) and n not in at_ends:
            hides = False
        else:
            before, after = text[n - 1 : n], text[n + 1 : n + 2]
            hides = n in at_ends or (bare and MARK.match(character) is not None) or _hides(before, character, after)
        written.append(f"\u27e6U+{ord(character):04X}\u27e7" if hides else character)
        bare = hides or character.isspace()
    return "".join(written)


@lru_cache(1 << 16)
def _always_shows(character: str) -> bool:
    """Return whether a character shows something wherever it is; nearly all do."""
    return not (MARK.match(character) or HIDDEN.match(character) or BLANK_NAME.search(unicodedata.name(character, "")))


def _hides(before: str, character: str, after: str) -> bool:
    """Return whether a character shows nothing between its neighbours, each a character or empty."""
    if BLANK_NAME.search(unicodedata.name(character, "")):
        return True
    if HIDDEN.match(character) is None:
        return False
    if character in JOINERS:
        return not _joins(before, after)
    if character in STYLES:  # of emoji: the colour of a heart, and the digit of a keycap
        return not (EMOJI.match(before) and before not in STYLES or after == KEYCAP)
    return not (character == WIDE_SPACE and bool(WIDE.match(before) or WIDE.match(after)))


def _joins(before: str, after: str) -> bool:
    """Return whether a joiner is at work: in Arabic and its kin, next to a virama, and between two emoji."""
    if not before or before in JOINERS:
        return False
    arabic = "AL" in (unicodedata.bidirectional(before), after and unicodedata.bidirectional(after))
    indic = VIRAMA in (unicodedata.combining(before), after and unicodedata.combining(after))
    return arabic or indic or bool(EMOJI.match(before) and EMOJI.match(after))


def valid_utf8(text: str) -> str:
    """Return text that files and logs can hold: JSON can write half a surrogate pair, which becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def utf8_of_argument(text: str) -> str:
    """Return what a command was given, read as UTF-8 if its bytes are: a locale may have another encoding."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        return valid_utf8(text)
