"""Text of others, made safe to show: on a terminal, in a log, in a spreadsheet."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def shown(value: object) -> str:
    """Quote a delivered value in a message: short, and with its control characters escaped."""
    return ascii(value)[:60]


def shown_name(name: str) -> str:
    """Return a file's name as it may be shown and written: what is not printable, or no UTF-8, is escaped."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in name)


def first_line(error: Exception) -> str:
    return ascii(str(error).splitlines()[0][:160].rstrip("."))[1:-1] if str(error) else type(error).__name__


def harmless(text: str) -> str:
    return "'" + text if text.startswith(FORMULA) else text


def one_line(text: str) -> str:
    """Return what others wrote as one printable line: it may hold line ends or a terminal's control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def valid_utf8(text: str) -> str:
    """Return text that files and logs can hold: JSON can write half a surrogate pair, which becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def utf8_of_argument(text: str) -> str:
    """Return what a command was given, read as UTF-8 if its bytes are: a locale may have another encoding."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        return valid_utf8(text)
