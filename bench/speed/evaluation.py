"""What an evaluation costs besides its models: `python -m bench.speed.evaluation FOLDER`, ten minutes on two cores.

Seven systems on 1,000 queries of the embedded base, asked for summaries of its passages with the longest sentence of
each as reference, after two runs that train for a minute. The smallest model is the hardest case: its own time is
least. The second line is what is outside of the models for texts as long as TL;DR's, whatever the model.
"""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq

from bench.arguments import parser
from data.campaign.campaign import SHIPPED
from data.campaign.queries import EMBEDDED
from data.campaign.settings import Labelers
from data.evaluation.judgements import judge_pairs, pair_results, ratings
from data.measures.text_metrics import measure_texts
from data.measures.words import SENTENCE_END

SYSTEMS = "reference,lead-3,zero-shot,supervised,rl,supervised-rl,best-of-4"
QUERIES = 1_000
SMALL = {
    "questions = 5000": "questions = 64",
    "episodes = 12288": "episodes = 256",
    "truncate_after = 16": 'truncate_after = 8\nsuffix = " In short:"\nqueries = "queries"',
    "normalisation_samples = 256": "normalisation_samples = 64",
}
SUPERVISED = "\n[presets.supervised.supervised]\nbatch = 32\nlr = 2e-4\n"
JUDGES = Labelers(prefers="positive", count=20, noise=0.25, slot_bias=0.05, error_rate=0.02, seed=1)


def prepared(folder: Path) -> Path:
    """Write the campaign and its queries, with a reference each."""
    (folder / "queries").mkdir(parents=True, exist_ok=True)
    for split in ("train", "test"):
        rows = pq.read_table(EMBEDDED["embedded"] / f"{split}.parquet").to_pylist()
        lines = [{n: r[n] for n in ("query_id", "text")} | {"response": _longest(r["text"])} for r in rows]
        (folder / "queries" / f"{split}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    text = (SHIPPED / "sentiment.toml").read_text().split("# A batch for people")[0]
    for old, new in SMALL.items():
        assert old in text, old
        text = text.replace(old, new)
    path = folder / "short.toml"
    path.write_text(text.replace('"queries"', json.dumps(str(folder / "queries"))) + SUPERVISED)
    return path


def _longest(text: str) -> str:
    return max(SENTENCE_END.split(text), key=len)


def andon(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "flows.cli", *arguments, "--store", str(folder / "store"), "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()[-1]


def outside_of_long_texts() -> float:
    """Return the seconds of judging and measuring seven systems on texts of 400 and 55 words."""
    draw, words = random.Random(0), [f"word{number}ing" for number in range(2_000)]

    def texts(length: int) -> list[str]:
        return [" ".join(draw.choices(words, k=length)).capitalize() + "." for _ in range(QUERIES)]

    sources, references = texts(400), texts(55)
    answers = {f"system {number}": texts(55) for number in range(7)}
    began = time.perf_counter()
    judgements = list(judge_pairs(JUDGES, {str(number): source for number, source in enumerate(sources)}, answers))
    pair_results(judgements)
    ratings(judgements, list(answers), "system 0")
    for mine in answers.values():
        measure_texts(sources, mine, references, "tldr")
    return time.perf_counter() - began


def main(folder: Path) -> None:
    toml = prepared(folder.absolute())
    for preset in ([], ["--preset", "supervised"]):
        andon(folder, "round", str(toml), *preset)
    began = time.perf_counter()
    facts = json.loads(andon(folder, "evaluate", str(toml), "--systems", SYSTEMS, "--queries", str(QUERIES)))
    wall, outside = time.perf_counter() - began, facts["seconds"] - facts["model_seconds"]
    print(
        f"{len(facts['systems'])} systems, {facts['pairs']:,} queries: {facts['seconds']:.1f} s, outside of the "
        f"models {outside:.1f} s, {outside / facts['seconds']:.1%}; with the start of the command {wall:.1f} s"
    )
    print(f"outside of the models for texts as long as TL;DR's: {outside_of_long_texts():.1f} s")


if __name__ == "__main__":
    arguments = parser("bench.speed.evaluation", __doc__)
    arguments.add_argument("folder", type=Path, help="where the store of the measurement is made")
    main(arguments.parse_args().folder)
