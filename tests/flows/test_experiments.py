"""The experiment goes on from what it has, whatever stopped it, and says what the rounds bought."""

from pathlib import Path

from bench.learning.experiments import CAMPAIGNS, LABELS, ROUNDS, SEEDS, Arm, Outcome, arms, outcomes, table, trends
from bench.learning.outcomes import add_row, read_rows

ARM = Arm("sentiment", "offline", 1, LABELS, 1)


def test_a_line_that_was_cut_off_is_none_and_the_next_stands_on_its_own(tmp_path: Path) -> None:
    log = tmp_path / "outcomes.jsonl"
    assert read_rows(log) == []
    for number in (1, 2):
        add_row(log, {"number": number})
    whole = log.read_text()
    for cut, kept in ((whole[:-1], 2), (whole[:-3], 1), (whole + '{"num', 2)):
        log.write_text(cut)
        assert len(read_rows(log)) == kept
        add_row(log, {"number": 3})
        assert [row["number"] for row in read_rows(log)] == [*range(1, kept + 1), 3]


def test_what_came_out_is_read_back_as_its_arm(tmp_path: Path) -> None:
    came = Outcome(0.7, 0.5, 11.0, 0.9, None)
    add_row(tmp_path / "outcomes.jsonl", ARM._asdict() | came._asdict())
    assert outcomes(tmp_path) == {ARM: came}
    assert "| sentiment | 1,600 | offline | 0.700 | 0.700 | 0.500 | 11.0 | ? |" in table({ARM: came})


def test_a_rise_with_every_doubling_is_found_and_none_is_claimed_of_a_part() -> None:
    found = {
        Arm(campaign, way, rounds, LABELS, seed): Outcome(0.6 + 0.02 * (rounds.bit_length() - 1), 0.5, 11.0, 0.9, 1.0)
        for campaign in CAMPAIGNS
        for way, rounds in ROUNDS.items()
        for seed in SEEDS
    }
    assert [*trends(found)] == [
        f"{campaign}: +0.020 ± 0.000 a doubling of the rounds, over 15 trainings" for campaign in CAMPAIGNS
    ]
    assert [*trends({arm: came for arm, came in found.items() if arm.rounds < 16})] == []


def test_every_arm_of_the_docs_has_been_run() -> None:
    rows = read_rows(Path(__file__).parents[2] / "docs/experiments.jsonl")
    assert {Arm(*(row[field] for field in Arm._fields)) for row in rows} == {*arms()}
