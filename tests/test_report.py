"""The report of a run: whole in itself, the decision on top, and text of models stays text."""

from html.parser import HTMLParser
from typing import Any

import pytest

from data.campaign import Campaign
from data.promotion_gate import Verdict
from data.run_evidence import RunEvidence
from data.run_report import run_report


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def rate(value: float, low: float) -> dict[str, Any]:
    return {"value": value, "low": low, "high": 0.9, "n": 512}


def gathered(campaign: Campaign, win_rate: dict[str, Any] | None, text: str = "A fine day.") -> RunEvidence:
    """What a store might know of a run: two systems, equal but for their scores."""
    facts = {
        "run": "run-x1",
        "round": 2,
        "label_set": "ls1",
        "labels": 800,
        "base": "embedded",
        "seed": 1,
        "reward_accuracy": rate(0.5, 0.4),
        "reward_accuracy_chance": 0.25,
        "win_rate": win_rate,
        "kl_nats_per_seq": 7.5,
        "valid": 0.9,
        "recipe": campaign.recipe(),
    }
    normalised = {"n": 64, "mean": 0.1, "std": 1.2, "gain": 0.8, "bias": -0.1}
    reward = {"train_labels": 720, "chance": 0.25, "loss": 1.1, "base_score_mean": 0.0, "base_score_std": 1.0}
    step = {"episodes": 64, "score": 0.5, "kl": 3.0, "valid": 0.5, "kl_coefficient": 0.1, "entropy": 2.0}
    histories = {
        "policy": [step | {"episodes": 64 * n} for n in range(1, 50)],
        "reward": [{"labels": 8 * n, "loss": 1.3, "accuracy": 0.4} for n in range(1, 50)],
    }
    texts = {"words": 4.0, "rouge1": None, "rouge2": None, "rougeL": None, "copied_share": 0.25}
    contests = [{"left": "zero-shot", "right": "policy", "win_rate": rate(0.2, 0.1), "equal_length": rate(0.3, 0.2)}]
    evaluation = {
        "systems": ["zero-shot", "policy"],
        "anchor": "zero-shot",
        "contests": contests if win_rate else [],
        "elo": {},
        "texts": {"zero-shot": texts, "policy": texts},
        "scores": {"zero-shot": (0.0, 0.0), "policy": (1.0, 0.1)},
        "behaviours": {"policy": {"kl": 7.5}},
    }
    rows = [
        {"query_id": f"q{n}", "query": text, "system": system, "response": text, "score": 0.1 * n}
        for n in range(20)
        for system in ("zero-shot", "policy")
    ]
    judged = [{"query": f"q{n}", "left": "zero-shot", "right": "policy", "won": n % 2} for n in range(20)]
    passed = win_rate is not None and win_rate["low"] > 0.5
    verdict = Verdict(passed, ("it wins",) if passed else (), () if passed else ("it does not win",))
    made = RunEvidence(facts, reward | {"normalised_after": [normalised], "models": 1}, histories, evaluation)
    return made._replace(
        responses=rows, judgements=judged if win_rate else [], verdict=verdict, earlier=[(1, rate(0.6, 0.5))]
    )


def test_it_needs_nothing_from_elsewhere(campaign: Campaign) -> None:
    tags = Tags()
    tags.feed(run_report(campaign, gathered(campaign, rate(0.8, 0.7))))
    names = {name for name, _ in tags.found}
    assert "svg" in names and not names & {"script", "link", "iframe", "img"}
    for _, attributes in tags.found:
        for name in ("src", "href", "xlink:href"):
            assert not (attributes.get(name) or "#").startswith(("http", "/", "file"))


def test_text_of_models_stays_text(campaign: Campaign) -> None:
    page = run_report(campaign, gathered(campaign, None, text="<script>alert(1)</script><img src=x onerror=alert(1)>"))
    assert "<script>" not in page and "<img" not in page and "&lt;script&gt;" in page


@pytest.mark.parametrize(("low", "words"), [(0.7, "The gate holds"), (0.45, "The gate does not hold")])
def test_the_decision_is_on_top_with_its_reasons(campaign: Campaign, low: float, words: str) -> None:
    page = run_report(campaign, gathered(campaign, rate(0.75, low)))
    reason = "For: it wins" if low > 0.5 else "Against: it does not win"
    assert words in page and page.index(words) < page.index(reason) < page.index("<svg")
    assert "Not judged" in run_report(campaign, gathered(campaign, None))


def test_an_override_is_said_before_anything_else(campaign: Campaign) -> None:
    entry: dict[str, Any] = {
        "kind": "promote",
        "run": "run-x1",
        "by": "ann",
        "reason": "we ship today",
        "against": ["a tie"],
    }
    entry |= {"at": "2026-01-01T00:00:00", "number": 3}
    page = run_report(campaign, gathered(campaign, rate(0.75, 0.45))._replace(decisions=[entry]))
    assert page.index("Promoted by ann, despite the gate") < page.index("we ship today") < page.index("Against:")


def test_equal_facts_give_equal_pages(campaign: Campaign) -> None:
    assert run_report(campaign, gathered(campaign, None)) == run_report(campaign, gathered(campaign, None))
