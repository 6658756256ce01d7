"""The gates on real disagreement: `python -m bench.labels.real_raters vaderSentiment-3.3.2.tar.gz`.

The source distribution of vaderSentiment (PyPI, MIT; Hutto and Gilbert 2014) holds 23,700 texts with the sentiment
scores, -4 to 4, that each of some twenty people gave. A question is four texts of one source, and an answer is the text
that real people scored highest: for each text the score of one of its raters, drawn at random, since the files do not
say which score of one text and which of another are the same person's. So the disagreement is real and the persons are
put together. Texts are split in half by their hash: thresholds may be set on the first half, results are the second's.
"""

import ast
import io
import random
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

from bench.arguments import parser
from bench.labels.quality import DIAGNOSES, counts, found_in
from data.batches.schema import Question, Sample
from data.canonical import sha256
from data.simulation.faulty_vendor import FAULTS, Choose

BATCHES = 20  # of each fault; of sound ones twice as many
INNER = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
SOURCES = ("movieReviewSnippets", "tweets", "amazonReviewSnippets", "nytEditorialSnippets")
QUESTIONS, GOLD, CLEAR = 2000, 100, 1.5  # the best of a gold question leads by so much in mean score
K = 4


class Rated(NamedTuple):
    text: str
    scores: list[int]

    @property
    def mean(self) -> float:
        return sum(self.scores) / len(self.scores)


def read(archive: Path) -> dict[str, list[Rated]]:
    """Return the rated texts of every source."""
    with tarfile.open(archive) as outer:
        content = outer.extractfile(INNER)
        assert content is not None
        with tarfile.open(fileobj=io.BytesIO(content.read())) as inner:
            return {source: _source(inner, source) for source in SOURCES}


def _source(archive: tarfile.TarFile, source: str) -> list[Rated]:
    texts: dict[str, str] = {}
    scores: dict[str, str] = {}
    for kind, found in (("GroundTruth", texts), ("anonDataRatings", scores)):
        file = archive.extractfile(f"hutto_ICWSM_2014/{source}_{kind}.txt")
        assert file is not None
        for line in file.read().decode("utf-8", "replace").splitlines():
            parts = line.split("\t")
            if len(parts) > 2:
                found[parts[0]] = parts[-1]
    rated = [Rated(text, ast.literal_eval(scores[name])) for name, text in texts.items() if name in scores]
    return list({each.text: each for each in rated if each.scores}.values())


def asked(sources: dict[str, list[Rated]], seed: int) -> tuple[list[Question], list[Question], Choose]:
    """Make a batch's questions and gold questions of rated texts, and the people who answer them."""
    draw = random.Random(seed)
    people: dict[str, list[list[int]]] = {}
    questions: list[Question] = []
    gold: list[Question] = []
    while len(questions) < QUESTIONS or len(gold) < GOLD:
        source = draw.choice(SOURCES)
        four = draw.sample(sources[source], K)
        best, second = sorted(range(K), key=lambda i: -four[i].mean)[:2]
        samples = tuple(Sample(each.text, [], "people") for each in four)
        name = f"{seed}-{len(questions)}-{len(gold)}"
        if four[best].mean - four[second].mean >= CLEAR and len(gold) < GOLD:
            gold.append(Question(name, source, [], samples, "gold", best))
            people[gold[-1].item] = [each.scores for each in four]
        elif len(questions) < QUESTIONS:
            questions.append(Question(name, source, [], samples))
            people[questions[-1].item] = [each.scores for each in four]

    def choose(item: str, who: int, worst: bool) -> int:
        said = [draw.choice(scores) + draw.random() * 0.5 for scores in people[item]]  # ties fall at random
        return said.index(min(said) if worst else max(said))

    return questions, gold, choose


def main(archive: str, batches: int = BATCHES) -> None:
    sources = read(Path(archive))
    print(f"{sum(map(len, sources.values())):,} texts, " + ", ".join(f"{len(t):,} {s}" for s, t in sources.items()))
    for half in (0, 1):
        mine = {
            source: [rated for rated in texts if int(sha256(rated.text.encode())[0], 16) % 2 == half]
            for source, texts in sources.items()
        }
        questions, gold, choose = asked(mine, half)
        agree = sum(choose(q.item, 0, False) == choose(q.item, 1, False) for q in questions) / len(questions)
        right = sum(choose(q.item, 0, False) == q.gold for q in gold) / len(gold)
        print(f"\n{'second half, results' if half else 'first half, for setting thresholds'}: ", end="")
        print(f"two people agree on {agree:.2f} of the questions, and {right:.2f} of gold answers are right\n")
        print("| fault | batches | stopped | right diagnosis | all that was named |\n" + "|---" * 5 + "|")
        for fault in FAULTS:
            named = []
            for number in range(batches * (2 if fault == "clean" else 1)):
                seed = 50_000 * (half + 1) + 1000 * FAULTS.index(fault) + number
                questions, gold, choose = asked(mine, seed)
                with tempfile.TemporaryDirectory() as folder:
                    named.append(found_in(questions, gold, choose, {}, fault, seed, Path(folder)))
            caught = sum(DIAGNOSES.get(fault) in found for found in named) if fault != "clean" else ""
            every = counts(named)
            print(f"| {fault} | {len(named)} | {sum(map(bool, named))} | {caught} | {every} |", flush=True)


if __name__ == "__main__":
    arguments = parser("bench.labels.real_raters", __doc__)
    arguments.add_argument("archive", help="the source distribution of vaderSentiment, a .tar.gz file")
    arguments.add_argument("batches", type=int, nargs="?", default=BATCHES, help="batches of each fault (%(default)s)")
    given = arguments.parse_args()
    main(given.archive, given.batches)
