"""What must become of every row of every answer file of a batch, in plain Python and row by row.

The fast path is held to it. It is written apart from that: it shares no reader and no column with it, and knows from
the documents alone (docs/data-dictionary.md, docs/bad-input.md) what counts.
"""

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

Asked = Mapping[str, tuple[str, tuple[int, ...]]]  # content hash and shown order of every question
Row = Mapping[str, str]  # cells as text; what is missing or empty was not said
Said = tuple[int | None, list[list[int]] | None, dict[str, list[float]] | None]  # best sample, ranking, ratings
BAD, SKIPPED, REPEATED = "bad", "skipped", "repeated"
AXES = ("accuracy", "coverage", "coherence", "overall")


class Label(NamedTuple):
    """One answer that was taken in."""

    label_id: str
    question: str
    labeler: str
    said: Said
    supersedes: str | None
    seconds: float | None
    answered_at: str | None


Fate = str | Label  # BAD, SKIPPED, REPEATED, or the label that a row has become


class Oracle:
    """One batch, and what was taken in of the files that came for it, one after another."""

    def __init__(self, batch: str, asked: Asked, sent: datetime | None = None):
        self.batch, self.asked, self.sent = batch, asked, sent
        self.labels: list[Label] = []
        self.files: set[str] = set()

    def take(self, file: str, rows: Sequence[Row]) -> list[Fate] | None:
        """Return the fate of each row of a file, known by the hash of its bytes; None where the file is refused."""
        if any(row.get("schema_version") not in (None, "", "1.0") for row in rows):
            return None
        if not any(row["question_id"] in self.asked for row in rows):
            return None
        if any(row.get("batch_id") not in (None, "", self.batch) for row in rows):
            return None
        if file in self.files:
            return [REPEATED] * len(rows)
        fates = self.judge(rows)
        if 20 * fates.count(BAD) > len(rows):
            return None
        self.files.add(file)
        self.labels += [fate for fate in fates if isinstance(fate, Label)]
        return fates

    def judge(self, rows: Sequence[Row]) -> list[Fate]:
        """Return the fate of each row beside what was taken in before, and take in nothing."""
        fates = [self._beside_the_known(self.read(row)) for row in rows]
        for mine in _by_person_and_question(fates).values():
            first = fates[mine[0]]
            assert isinstance(first, Label)
            agree = all(fates[number][3] == first.said for number in mine)
            for number in mine if not agree else mine[1:]:
                fates[number] = REPEATED if agree else BAD
        return fates

    def counting(self) -> list[Label]:
        """Return the labels that count: those that no other one corrects."""
        corrected = [label.supersedes for label in self.labels]
        return [label for label in self.labels if label.label_id not in corrected]

    def standing(self, question: str, labeler: str) -> Label | None:
        """Return what counts of somebody's answers to a question."""
        mine = [label for label in self.counting() if (label.question, label.labeler) == (question, labeler)]
        assert len(mine) <= 1, "nobody counts twice"
        return mine[0] if mine else None

    def _beside_the_known(self, fate: Fate) -> Fate:
        """An answer that was given before adds nothing; another one must correct the one that stands."""
        if isinstance(fate, str):
            return fate
        for known in self.labels:
            if (known.question, known.labeler, known.said) != (fate.question, fate.labeler, fate.said):
                continue
            if fate.supersedes in (None, known.supersedes):
                return REPEATED
        stands = self.standing(fate.question, fate.labeler)
        return fate if fate.supersedes == (stands.label_id if stands else None) else BAD

    def read(self, row: Row) -> Fate:
        """Return the label that a row would become, or why it cannot become one, by itself."""
        try:
            return self._read(row)
        except (ValueError, TypeError, KeyError, AssertionError):
            return BAD

    def _read(self, row: Row) -> Fate:
        content, shown = self.asked[row["question_id"]]
        labeler = unicodedata.normalize("NFC", row["labeler_id"].strip())
        assert row["content_sha256"] == content and labeler
        seconds = float(row["seconds"]) if row.get("seconds") else None
        assert seconds is None or abs(seconds) <= 1e12
        answered_at = self._moment(row["answered_at"]) if row.get("answered_at") else None
        best, ranking, ratings = (row.get(name, "") for name in ("best", "ranking", "ratings"))
        if row.get("skip", "").strip().lower() in ("true", "yes", "y", "1", "1.0"):
            assert not (best or ranking or ratings)
            return SKIPPED
        assert best or ranking or ratings
        said, corrects = _said(best, ranking, ratings, shown), row.get("supersedes") or None
        name = _label_id(self.batch, row["question_id"], labeler, said, corrects)
        return Label(name, row["question_id"], labeler, said, corrects, seconds, answered_at)

    def _moment(self, cell: str) -> str:
        moment = datetime.fromisoformat(cell)
        assert moment.tzinfo is not None
        assert self.sent is None or self.sent <= moment <= datetime.now(UTC)
        return moment.astimezone(UTC).isoformat()


def _by_person_and_question(fates: Sequence[Fate]) -> dict[tuple[str, str], list[int]]:
    """Return the numbers of the rows that may count, by who answered what."""
    found: dict[tuple[str, str], list[int]] = {}
    for number, fate in enumerate(fates):
        if isinstance(fate, Label):
            found.setdefault((fate.question, fate.labeler), []).append(number)
    return found


def _said(best: str, ranking: str, ratings: str, shown: tuple[int, ...]) -> Said:
    """Return what cells say of positions, said of the samples that stood there."""
    choice, groups, rated = None, None, None
    if best:
        assert best in ("0", "1", "2", "3")
        choice = int(best)
    if ranking:
        places = json.loads(ranking)
        flat = [place for group in places for place in group]
        assert all(type(place) is int and 0 <= place < len(shown) for place in flat)
        assert len(flat) == len(set(flat)) >= 2 and all(places)
        assert choice is None or choice in places[0]
        choice = places[0][0] if len(places[0]) == 1 else None
        groups = [sorted(shown[place] for place in group) for group in places]
    if ratings:
        axes = json.loads(ratings)
        assert axes and set(axes) <= set(AXES)
        rated = {}
        for axis in (axis for axis in AXES if axis in axes):
            numbers = axes[axis]
            assert len(numbers) == len(shown) and all(type(n) in (int, float) and 1 <= n <= 7 for n in numbers)
            rated[axis] = [numbers[shown.index(sample)] for sample in range(len(shown))]
    return None if choice is None else shown[choice], groups, rated


def _label_id(batch: str, question: str, labeler: str, said: Said, supersedes: str | None) -> str:
    """Hash batch, question, labeler and answer, and what it corrects, as every store has them."""
    best, ranking, ratings = said
    named: list[Any] = [batch, question, labeler, best]
    if ranking or ratings:
        whole = ratings and {axis: [int(n) if n == int(n) else n for n in ratings[axis]] for axis in ratings}
        named.append([ranking, _json(whole) if whole else None])
    return hashlib.sha256(_json([*named, supersedes] if supersedes else named).encode()).hexdigest()


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
