"""The edition of the reports: a hash of the code that draws them. It is part of the name of every report."""

from functools import cache
from hashlib import sha256
from pathlib import Path

DATA = Path(__file__).resolve().parents[1]
DRAWN_BY = ("render", "reports", "measures")  # packages: templates and charts, pages, figures


@cache
def edition(data: Path = DATA) -> str:
    """Return a hash of the templates and the code that draw reports, so that a change of either makes a new report."""
    files = sorted(file for name in DRAWN_BY for file in (data / name).rglob("*") if file.suffix in (".py", ".html"))
    digest = sha256()
    for file in files:
        digest.update(f"{file.relative_to(data)}\n".encode() + sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:14]
