"""Reports in a real browser, offline: the decision first, nothing fetched, nothing sticks out, and they print."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from data.campaign import Campaign
from data.reports.campaign import report_campaign
from data.reports.evaluation import evaluation_report
from data.reports.run import report_run
from tests.support.history import finished, gathered, rate
from tests.support.labeling import EVIL
from tests.support.vendor import Round
from tests.web.test_browser import browser, shot  # noqa: F401

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The three kinds of report, of a campaign with two runs whose samples are hostile."""
    from data.campaign import load_campaign

    folder = tmp_path_factory.mktemp("reports")
    campaign, sent = load_campaign("sentiment"), Round(folder, "sentiment")
    sent.deliver(sent.answers())
    finished(sent, campaign, "run-1", 0.7)
    finished(sent, campaign, "run-2", 0.4, "run-1")
    side_by_side = folder / "evaluation.html"
    side_by_side.write_text(_side_by_side(campaign))
    return {
        "run": report_run(sent.store, "sentiment", "run-2").path("report.html"),
        "campaign": report_campaign(sent.store, "sentiment").path("report.html"),
        "evaluation": side_by_side,
    }


def _side_by_side(campaign: Campaign) -> str:
    made = gathered(campaign, rate(0.8, 0.7), text=" ".join(EVIL))
    elo: Any = {
        "zero-shot": {"elo": 0.0, "low": 0.0, "high": 0.0},
        "policy": {"elo": 190.0, "low": 150.0, "high": 230.0},
    }
    text = campaign.text.model_copy(update={"suffix": "TL;DR:"})  # so that copies are drawn and marked
    return evaluation_report(
        campaign.model_copy(update={"text": text}), {**made.evaluation, "elo": elo}, made.responses
    )


@pytest.fixture
def offline(browser: Browser) -> Iterator[Page]:  # noqa: F811
    """A page without a network, which fails for any error and for any request but the file itself."""
    context = browser.new_context(viewport={"width": 1100, "height": 900}, offline=True)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith("file://") else faults.append(request.url))
    yield page
    context.close()
    assert faults == []


@pytest.mark.parametrize("kind", ["run", "campaign", "evaluation"])
def test_a_report_needs_nothing_sticks_nowhere_out_and_prints(
    reports: dict[str, Path], offline: Page, kind: str
) -> None:
    offline.goto(f"file://{reports[kind]}")
    expect(offline.locator("h1")).to_be_visible()
    assert offline.locator("svg").count() >= 2 and offline.title() != "owned"
    if kind != "evaluation":
        box = offline.locator(".decision").bounding_box()
        assert box is not None and box["y"] + box["height"] < 900, "the decision is seen without scrolling"
        expect(offline.locator(".decision")).to_contain_text("a tie" if kind == "run" else "was not promoted")
    shot(offline, f"report-{kind}")
    for width in (1100, 400):
        offline.set_viewport_size({"width": width, "height": 900})
        assert offline.evaluate("document.documentElement.scrollWidth") <= width, f"{kind} is wider than {width} pixels"
    small = offline.locator(".plots svg").evaluate_all(
        "each => each.filter(e => e.getBoundingClientRect().width < 200)"
    )
    assert small == []
    pages = offline.pdf(format="A4").count(b"/Type /Page\n")
    assert 1 <= pages <= 12, pages


def test_what_differs_is_seen(reports: dict[str, Path], offline: Page) -> None:
    offline.goto(f"file://{reports['run']}")
    first = offline.locator("mark").first
    expect(first).to_be_visible()
    assert first.evaluate("e => getComputedStyle(e).backgroundColor") != "rgba(0, 0, 0, 0)"
    expect(offline.locator("td.preferred").first).to_be_visible()
