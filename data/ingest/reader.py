"""Delivered answer files as tables, whatever their names say: data/exchange/registry.py knows the formats.

A file that is too large, packed or empty is refused here.
"""

from collections.abc import Iterator
from pathlib import Path

from data.errors import Refused
from data.exchange.columns import MOST_ROWS, AnswerFile, Chunk
from data.exchange.content import Content
from data.exchange.registry import read_answers

MOST_BYTES = 2 << 30
EXCEL = 1_048_576  # rows of a sheet, the header counted; what lies beyond is cut without a word
FOREIGN = {
    b"PK\x03\x04": "a zip or Excel file",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ": "xz",
    b"ARROW1": "Arrow IPC",
    b"FEA1": "Feather",
    b"PARE": "encrypted Parquet",
    b"\xd0\xcf\x11\xe0": "Excel",
}


def open_answers(path: Path) -> AnswerFile:
    """Read a delivered file in bounded memory; raise Refused if it is not one, now or while it is read."""
    size = path.stat().st_size if path.is_file() else 0
    if size == 0:
        raise Refused(f"{path.name} is empty: there is nothing to read.")
    if size > MOST_BYTES:
        raise Refused(f"{path.name} has {size:,} bytes: deliver it in files of at most {MOST_BYTES:,}.")
    content = Content(path)
    for magic, name in FOREIGN.items():
        if content.head.startswith(magic):
            raise Refused(f"{path.name} is {name}: deliver answers as Parquet, CSV or JSON, not packed.")
    answers = read_answers(content)
    return answers._replace(chunks=_counted(path, answers.chunks))


def _counted(path: Path, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    rows = 0
    for chunk in chunks:
        rows += len(chunk.numbers) + len(chunk.broken)
        if rows > MOST_ROWS:
            raise Refused(f"{path.name} has over {MOST_ROWS:,} rows: deliver it in parts.")
        yield chunk
    if rows == 0:
        raise Refused(f"{path.name} has no rows: nothing was answered.")
    if rows in (EXCEL, EXCEL - 1):
        raise Refused(f"{path.name} has {rows:,} rows, where Excel cuts a sheet: deliver it in parts, or as Parquet.")
