"""Text of others, made safe to show: in a message, on a terminal, in a log, a page, Markdown or a spreadsheet.

All functions that make text of others harmless are here, so that no other file invents one.
"""

import unicodedata

FORMULA = ("=", "+", "-", "@", "\t", "\r")
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}  # categories of characters that show nothing, or turn what follows
FILLERS = "\u115f\u1160\u2800\u3164\uffa0"  # letters and a symbol that show nothing
NOT_HIDING = {"\n", "\t", "\u200c", "\u200d"}  # the joiners are letters of several scripts, and of emoji


def shown(value: object, longest: int = 60) -> str:
    """Quote a delivered value in a message: short, and with its control characters escaped."""
    return ascii(value)[:longest]


def in_ascii(text: str) -> str:
    """Return text without quotes, with every character that is not ASCII or not printable escaped."""
    return ascii(text)[1:-1]


def shown_name(name: str) -> str:
    """Return a file's name as it may be shown and written: what is not printable, or no UTF-8, is escaped."""
    return "".join(character if character.isprintable() else in_ascii(character) for character in name)


def first_line(error: Exception) -> str:
    """Return the first line of what a library says of an error, or the kind of the error if it says nothing."""
    return in_ascii(str(error).splitlines()[0][:160].rstrip(".")) if str(error) else type(error).__name__


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
    return all(unicodedata.category(character)[0] in "ZCM" or character in FILLERS for character in text)


def as_code(text: str) -> str:
    """Return text as one line of code in Markdown, which renders nothing of it."""
    return "`" + one_line(text).replace("`", "'") + "`"


def visible(text: str) -> str:
    """Write every hidden character as its number, so that a reader sees what a model sees."""
    text = text.replace("\r\n", "\n")
    return "".join(f"\u27e6U+{ord(c):04X}\u27e7" if _hides(c) else c for c in text)


def _hides(character: str) -> bool:
    return character not in NOT_HIDING and unicodedata.category(character) in HIDDEN


def valid_utf8(text: str) -> str:
    """Return text that files and logs can hold: JSON can write half a surrogate pair, which becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def utf8_of_argument(text: str) -> str:
    """Return what a command was given, read as UTF-8 if its bytes are: a locale may have another encoding."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        return valid_utf8(text)
