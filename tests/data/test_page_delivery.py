"""The answers of the labeling page are decided labeler by labeler: one bad one, or a wrong clock, stops nobody else."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from data.batches.index import key_rows
from data.campaign import load_campaign
from data.errors import Refused
from data.ingest.page_delivery import PageChoice
from data.labels.decisions import batch_statuses
from data.labels.table import committed_table, deliveries
from data.page.accounts import add
from data.page.answers import collect, save
from data.store import LocalStore
from tasks.ingest import PageIngest, ingest_page
from tests.support.labeling import gold_batch

GOLD = 40
CAMPAIGN = load_campaign("sentiment")


class Team:
    """A batch of gold questions, and people who answer some of them on the page."""

    def __init__(self, folder: Path) -> None:
        self.store = LocalStore(folder / "store")
        self.batch = gold_batch(self.store, GOLD)
        self.rows = key_rows(self.batch)
        for name in ("ada", "bob", "mallory"):
            add(self.store, name)

    def answer(self, labeler: str, questions: range, right: bool = True, at: datetime | None = None) -> None:
        """Answer some questions, all right or all wrong."""
        draw = random.Random(labeler)
        for number in questions:
            row = self.rows[number]
            best = row["shown"].index(row["gold"])
            wrong = draw.choice([slot for slot in range(4) if slot != best])
            answer = {
                "question_id": row["question_id"],
                "content_sha256": row["content_sha256"],
                "labeler_id": labeler,
                "best": best if right else wrong,
                "answered_at": (at or datetime.now(UTC)).isoformat(),
                "seconds": 20.0,
            }
            assert save(self.store, "sentiment", "b1", 1, answer) is None

    def collect(self, **choice: tuple[str, ...] | str) -> PageIngest:
        return ingest_page(self.store, CAMPAIGN, self.batch, PageChoice(**choice))  # type: ignore[arg-type]

    def labels(self) -> dict[str, int]:
        """Return how many labels of each labeler are in."""
        names = committed_table(self.store, deliveries(self.store, "sentiment"))["labeler_id"].to_pylist()
        return {name: names.count(name) for name in sorted(set(names))}


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    monkeypatch.setattr("tasks.ingest.MOST_REPORTED_AT_ONCE", 0)  # reports have their own tests
    return Team(tmp_path)


@pytest.mark.slow
def test_one_labeler_whose_answers_look_wrong_holds_up_nobody(team: Team) -> None:
    team.answer("mallory", range(20), right=False)
    team.answer("ada", range(20, 23))
    page, result = team.collect()
    assert [(each.labeler, each.answers, each.code) for each in page.left_out] == [("mallory", 20, "answers_inverted")]
    assert result is not None and (result.accepted, result.quarantined) == (3, 0)
    assert team.labels() == {"ada": 3}
    team.answer("bob", range(23, 40))
    page, result = team.collect()
    assert team.labels() == {"ada": 3, "bob": 17} and [each.labeler for each in page.left_out] == ["mallory"]
    assert result is not None and result.decision == "hold", "the batch is not complete, and nothing else is wrong"
    page, result = team.collect()
    assert result is None and [each.labeler for each in page.left_out] == ["mallory"], "nothing new, and no refusal"


def test_a_person_can_ingest_them_despite_the_finding_and_the_log_says_who_decided(team: Team) -> None:
    team.answer("mallory", range(20), right=False)
    assert team.collect().result is None
    with pytest.raises(Refused, match="no finding 'bad'"):
        team.collect(despite=("bad",))
    assert team.collect(despite=("indices_off_by_one",)).result is None, "another finding"
    page, result = team.collect(despite=("answers_inverted",), by="grace")
    assert page.left_out == () and result is not None and result.accepted == 20
    assert deliveries(team.store, "sentiment")[0]["despite"] == "answers_inverted: accepted by grace"
    assert batch_statuses(team.store, "sentiment")["b1"].decision == "reject", "whether they count is decided apart"


def test_answers_can_be_collected_without_a_labeler_and_stay_saved(team: Team) -> None:
    team.answer("ada", range(3))
    team.answer("bob", range(3, 8))
    page, _ = team.collect(without=("bob",))
    assert [(each.labeler, each.answers, each.code) for each in page.left_out] == [("bob", 5, None)]
    assert team.labels() == {"ada": 3}
    with pytest.raises(Refused, match=r"'bib' was never a labeler .* ada, bob, mallory"):
        team.collect(without=("bib",))
    team.collect()
    assert team.labels() == {"ada": 3, "bob": 5}


def test_those_who_look_wrong_are_told_from_the_others_also_by_few_gold_questions(team: Team) -> None:
    team.answer("mallory", range(9), right=False)
    team.answer("ada", range(9, 13))
    page, _ = team.collect()
    assert [each.labeler for each in page.left_out] == ["mallory"] and team.labels() == {"ada": 4}


def test_if_everybodys_answers_look_wrong_together_none_is_taken_and_a_person_decides(team: Team) -> None:
    for labeler, questions in (("ada", range(6)), ("bob", range(6, 12)), ("mallory", range(12, 18))):
        team.answer(labeler, questions, right=False)
    with pytest.raises(Refused, match=r"ada, bob, mallory.*--without NAME.*--despite answers_inverted") as refusal:
        team.collect()
    assert "\n" not in str(refusal.value) and ".parquet" not in str(refusal.value)
    assert team.labels() == {}
    team.collect(despite=("answers_inverted",))
    assert team.labels() == {"ada": 6, "bob": 6, "mallory": 6}


def test_a_wrong_clock_of_the_server_costs_an_answer_its_time_and_nothing_else(team: Team) -> None:
    for number, days in enumerate((-400, -2, 200)):
        team.answer("ada", range(number, number + 1), at=datetime.now(UTC) + timedelta(days=days))
    team.answer("ada", range(3, 4))
    page, result = team.collect()
    assert page.unknown_times == 3 and result is not None and (result.accepted, result.quarantined) == (4, 0)
    times = committed_table(team.store, deliveries(team.store, "sentiment"))["answered_at"]
    assert times.null_count == 3 and team.collect().result is None


def test_a_row_that_cannot_be_used_is_quarantined_alone_however_few_rows_there_are(team: Team) -> None:
    team.answer("ada", range(2))
    team.answer("bob", range(2, 3))
    on_roster = CAMPAIGN.model_copy(update={"quality": CAMPAIGN.quality.model_copy(update={"roster": ["ada"]})})
    _, result = ingest_page(team.store, on_roster, team.batch, PageChoice())
    assert result is not None and (result.accepted, result.quarantined) == (2, 1)
    assert collect(team.store, "sentiment", "b1", team.store.root) is None, "no later collection has the row again"
