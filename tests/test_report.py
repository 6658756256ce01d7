"""The report: whole in itself, and text of models stays text."""

from html.parser import HTMLParser
from typing import Any

import pytest

from data.campaign import Campaign
from data.report import run_report


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def render(campaign: Campaign, win_rate: dict[str, Any] | None, text: str = "A fine day.") -> str:
    accuracy = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 80}
    facts = {
        "run": "run-x1",
        "round": 2,
        "label_set": "ls1",
        "labels": 800,
        "base": "embedded",
        "seed": 1,
        "reward_accuracy": accuracy,
        "reward_accuracy_chance": 0.25,
        "win_rate": win_rate,
        "kl_nats_per_seq": 7.5,
        "valid": 0.9,
        "recipe": campaign.recipe(),
    }
    normalised = {"n": 64, "mean": 0.1, "std": 1.2, "gain": 0.8, "bias": -0.1}
    reward: dict[str, Any] = {
        "train_labels": 720,
        "chance": 0.25,
        "loss": 1.1,
        "base_score_mean": 0.0,
        "base_score_std": 1.0,
    }
    reward |= {"normalised_after": [normalised], "models": 1}
    step = {"episodes": 64, "score": 0.5, "kl": 3.0, "valid": 0.5, "kl_coefficient": 0.1, "entropy": 2.0}
    histories = {
        "policy": [step | {"episodes": 64 * n} for n in range(1, 50)],
        "reward": [{"labels": 8 * n, "loss": 1.3, "accuracy": 0.4} for n in range(1, 50)],
    }
    pair = {"query": text, "zero_shot": text, "policy": text, "policy_preferred": True}
    pairs = [pair | {"zero_shot_score": 0.1 * n, "policy_score": 0.2 * n} for n in range(20)]
    earlier = [(1, {"value": 0.6, "low": 0.5, "high": 0.7, "n": 100})]
    return run_report(campaign, facts, reward, histories, pairs, earlier)


def test_it_needs_nothing_from_elsewhere(campaign: Campaign) -> None:
    tags = Tags()
    tags.feed(render(campaign, {"value": 0.8, "low": 0.7, "high": 0.9, "n": 512}))
    names = {name for name, _ in tags.found}
    assert "svg" in names and not names & {"script", "link", "iframe", "img"}
    for _, attributes in tags.found:
        for name in ("src", "href", "xlink:href"):
            assert not (attributes.get(name) or "#").startswith(("http", "/", "file"))


def test_text_of_models_stays_text(campaign: Campaign) -> None:
    page = render(campaign, None, text="<script>alert(1)</script><img src=x onerror=alert(1)>")
    assert "<script>" not in page and "<img" not in page and "&lt;script&gt;" in page


@pytest.mark.parametrize(("low", "words"), [(0.7, "The gate holds"), (0.45, "The gate does not hold")])
def test_the_decision_is_on_top(campaign: Campaign, low: float, words: str) -> None:
    page = render(campaign, {"value": 0.75, "low": low, "high": 0.9, "n": 512})
    assert words in page and page.index(words) < page.index("<svg")
    assert "Not judged" in render(campaign, None)


def test_equal_facts_give_equal_pages(campaign: Campaign) -> None:
    assert render(campaign, None) == render(campaign, None)
