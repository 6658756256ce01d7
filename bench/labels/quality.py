"""Whether mistakes in labels are noticed: `make bench-labels`; what came out is in docs/label-quality.md.

For smaller batches, ten of each fault with 300 questions: `python -m bench.labels.quality 10 300`; of some faults only:
`python -m bench.labels.quality 100 300 clean`. Of sound batches there are twice as many.

Every simulated batch goes the whole way: 2,000 questions with overlap and gold are published in a store, a vendor with
one fault answers them in a Parquet file, and ingesting that file says what it finds. Once without a reward model, as in
a first round, and once with one that likes the best sample best as often as a trained one did.
"""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from bench.arguments import parser
from data.batches.composition import compose
from data.batches.schema import Question, blind, write_parts, write_table
from data.campaign.settings import Batch, Quality
from data.ingest.codes import FileRefused
from data.ingest.pipeline import ingest
from data.labels.findings import Code, fault_text
from data.simulation.faulty_vendor import FAULTS, Choose, answer, chooser, make_questions
from data.store import LocalStore
from data.store.manifest import publish

BATCHES = 20  # of each fault; of sound ones twice as many
DIAGNOSES = {
    "inverted": Code.INVERTED,
    "off by one": Code.OFF_BY_ONE,
    "unmapped slots": Code.UNMAPPED,
    "wrong join": Code.WRONG_JOIN,
    "spammers": Code.GUESSING,
    "always first": Code.SAME_POSITION,
    "copycats": Code.COPYING,
}
QUESTIONS = 2000


def diagnosed(
    fault: str, seed: int, with_reward_model: bool, folder: Path, questions_asked: int = QUESTIONS
) -> list[Code]:
    """Let a simulated vendor with this fault answer one batch, and return the codes that ingesting finds."""
    questions, known, utilities = make_questions(questions_asked, seed, gold=100)
    predicted = {item: utility.predicted for item, utility in utilities.items()} if with_reward_model else {}
    return found_in(questions, known, chooser(utilities, seed), predicted, fault, seed, folder)


def found_in(
    questions: Sequence[Question],
    known: Sequence[Question],
    choose: Choose,
    predicted: Mapping[str, int],
    fault: str,
    seed: int,
    folder: Path,
) -> list[Code]:
    """Publish a batch, have it answered with a fault, ingest the file, and return the codes of the findings."""
    shares = Batch(questions=len(questions), probe_share=0.5, overlap_share=0.15, gold_share=0.05)
    vendor, key = blind(compose(questions, known, shares, seed), "Which?", f"secret {seed}".encode())
    write_table(key, folder / "key.parquet")
    files: dict[str, Path | bytes] = {
        **dict(write_parts(vendor, folder)),
        "key/samples.parquet": folder / "key.parquet",
    }
    store = LocalStore(folder / "store")
    facts = {"batch": "b1", "round": 1, "questions": len(key), "vocabulary": "none"}
    publish(store, "campaigns/c/batches/b1", "batch", files, inputs={}, facts=facts, began=datetime.now(UTC))
    rows = key.to_pylist()
    write_table(pa.Table.from_pylist(answer(rows, choose, fault, seed)), folder / "answers.parquet")
    asked = [row for row in rows if row["role"] != "gold" and row["item"] in predicted]
    likes = {row["question_id"]: predicted[row["item"]] for row in asked}
    (folder / "scratch").mkdir()
    try:
        outcome = ingest(store, "c", folder / "answers.parquet", folder / "scratch", Quality(), lambda batch: likes)
    except FileRefused as refusal:
        return [Code(refusal.code)]
    return [finding["code"] for finding in outcome.findings]


def counts(named: Sequence[Sequence[Code]]) -> str:
    """Return how often each fault was found, the most frequent first."""
    often = Counter(code for codes in named for code in codes).most_common()
    return "; ".join(f"{fault_text(code)} {count}" for code, count in often)


def main(faults: Sequence[str] = FAULTS, batches: int = BATCHES, questions: int = QUESTIONS) -> None:
    print("| fault | batches | reward model | stopped | right diagnosis | all that was named |\n" + "|---" * 6 + "|")
    for fault in faults:
        for with_reward_model in (False, True):
            named: list[list[Code]] = []
            for number in range(batches * (2 if fault == "clean" else 1)):
                with tempfile.TemporaryDirectory() as folder:
                    seed = 1000 * FAULTS.index(fault) + number
                    named.append(diagnosed(fault, seed, with_reward_model, Path(folder), questions))
            right = sum(DIAGNOSES.get(fault) in found for found in named) if fault != "clean" else ""
            every = counts(named)
            model = "yes" if with_reward_model else "no"
            print(f"| {fault} | {len(named)} | {model} | {sum(map(bool, named))} | {right} | {every} |", flush=True)


if __name__ == "__main__":
    arguments = parser("bench.labels.quality", __doc__)
    arguments.add_argument("batches", type=int, nargs="?", default=BATCHES, help="batches of each fault (%(default)s)")
    arguments.add_argument(
        "questions", type=int, nargs="?", default=QUESTIONS, help="questions in a batch (%(default)s)"
    )
    arguments.add_argument("faults", nargs="*", metavar="FAULT", help=f"only these faults: {', '.join(FAULTS)}")
    given = arguments.parse_args()
    main(given.faults or FAULTS, given.batches, given.questions)
