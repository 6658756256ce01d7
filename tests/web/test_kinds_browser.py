"""Rankings and ratings on the labeling page, in a real browser: every stored label is what was clicked or typed."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from data.batches.index import batches, key_rows
from data.campaign.settings import Ask
from data.ingest.pipeline import ingest
from data.labels.table import active_labels, committed, deliveries
from data.page.accounts import add
from data.page.answers import collect, mark_delivered
from data.store import LocalStore
from tests.support.labeling import EVIL, Server, prepared, simple
from tests.web.test_browser import STORY, browser, page, server, shot, sign_in  # noqa: F401

pytestmark = pytest.mark.browser
RANKING = Ask(kind="ranking")
RATINGS = Ask(kind="ratings", axes=("accuracy", "overall"))
Shown = dict[str, list[str]]  # query to the texts as they stood on the page


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:  # noqa: F811
    context = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    opened = context.new_page()
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    yield opened
    context.close()
    assert faults == []


def opened(page: Page, server: Server, ask: Ask, count: int) -> None:  # noqa: F811
    prepared(server.store, simple(count), ask=ask)
    token = add(server.store, "ada")
    server.start()
    sign_in(page, server, token)
    expect(page.locator("#question")).to_be_visible()


def texts(page: Page) -> list[str]:  # noqa: F811
    return page.locator("[data-text]").all_inner_texts()


def answered(page: Page, number: int) -> None:  # noqa: F811
    expect(page.locator("#count")).to_contain_text(f"{number} by you")


def tap(page: Page, text: int, row: int, number: int) -> None:  # noqa: F811
    page.locator("[data-slot]").nth(text).locator("[data-group]").nth(row).locator(".step").nth(number - 1).tap()


def stored(store: LocalStore) -> dict[str, dict[str, Any]]:
    """Collect and ingest what the page saved, and return the labels by query: the details, by text."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as scratch:
        collected = collect(store, "sentiment", "b1", Path(folder))
        assert collected is not None
        outcome = ingest(store, "sentiment", collected.path, Path(scratch))
        mark_delivered(store, "sentiment", "b1", collected.answers)
    assert outcome.quarantined == 0
    [batch] = batches(store, "sentiment")
    rows = {row["question_id"]: row for row in key_rows(batch)}
    labels = {}
    for label in active_labels(committed(store, deliveries(store, "sentiment"))):
        row = rows[label.question_id]
        names = [sample["text"] for sample in row["samples"]]
        details = dict(label.details)
        if "ranking" in details:
            details["ranking"] = [{names[sample] for sample in group} for group in details["ranking"]]
        if "ratings" in details:
            axes = json.loads(details["ratings"])
            details["ratings"] = {axis: dict(zip(names, numbers, strict=True)) for axis, numbers in axes.items()}
        labels[row["query"]] = details | {"note": label.critique}
    return labels


def ranked(shown: list[str], places: list[int]) -> list[set[str]]:
    """Return the groups that places mean, best first."""
    return [{text for text, own in zip(shown, places, strict=True) if own == place} for place in sorted(set(places))]


def test_rankings_by_keyboard_are_stored_as_typed_over_a_reload_and_a_double_click(page: Page, server: Server) -> None:  # noqa: F811
    opened(page, server, RANKING, 4)
    expected = {}
    for number, places in enumerate(([2, 1, 3, 4], [1, 1, 2, 2], [3, 1, 4, 1])):
        shown = texts(page)
        expected[page.locator("#query").inner_text()] = ranked(shown, places)
        for place in places[:2]:
            page.keyboard.press(str(place))
        page.reload()  # what was typed is kept
        expect(page.locator("#options input:checked")).to_have_count(2)
        assert texts(page) == shown
        for place in places[2:]:
            page.keyboard.press(str(place))
        if number == 1:
            page.locator("#send").dblclick()
        else:
            page.keyboard.press("Enter")
        answered(page, number + 1)
    expected[page.locator("#query").inner_text()] = [{*texts(page)}]
    page.keyboard.press("1")
    page.keyboard.press("t")  # takes the place back
    expect(page.locator("#options input:checked")).to_have_count(0)
    page.keyboard.press("t")  # the same key once more answers
    expect(page.locator("#done")).to_be_visible()
    labels = stored(server.store)
    assert {query: details["ranking"] for query, details in labels.items()} == expected


def test_rankings_by_touch_are_stored_as_tapped(phone: Page, server: Server) -> None:  # noqa: F811
    opened(phone, server, RANKING, 2)
    expected = {}
    for number, places in enumerate(([4, 2, 2, 1], [1, 2, 3, 4])):
        assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
        expected[phone.locator("#query").inner_text()] = ranked(texts(phone), places)
        for text, place in enumerate(places):
            tap(phone, text, 0, 5 - place)  # another one first: the last tap counts
            tap(phone, text, 0, place)
        phone.locator("#send").tap()
        if number == 0:
            answered(phone, 1)
    expect(phone.locator("#done")).to_be_visible()
    assert {query: details["ranking"] for query, details in stored(server.store).items()} == expected


def test_ratings_by_keyboard_are_stored_as_typed_and_undo_shows_and_corrects_them(page: Page, server: Server) -> None:  # noqa: F811
    opened(page, server, RATINGS, 2)
    typed = [7, 1, 2, 3, 4, 5, 6, 7]  # accuracy and overall of the first text, then of the second ...
    query, shown = page.locator("#query").inner_text(), texts(page)
    for number in typed:
        page.keyboard.press(str(number))
    page.keyboard.press("n")
    page.keyboard.type("12 of them")  # digits in a text field rate nothing
    page.keyboard.press("Control+Enter")
    answered(page, 1)
    second, others = page.locator("#query").inner_text(), texts(page)
    page.keyboard.press("u")
    expect(page.locator("#query")).to_have_text(query)
    given = page.locator("#options input:checked")
    expect(given).to_have_count(8)
    assert [int(number) for number in given.evaluate_all("inputs => inputs.map((input) => input.value)")] == typed
    expect(page.locator("#note")).to_have_value("12 of them")
    page.get_by_role("group", name="Text 2: overall").get_by_role("radio", name="3").focus()
    page.keyboard.press("6")
    typed[3] = 6
    page.keyboard.press("Enter")
    expect(page.locator("#query")).to_have_text(second)
    for number in (1, 2, 9, 3, 4, 4, 3, 2, 2):  # there is no 9
        page.keyboard.press(str(number))
    page.keyboard.press("Backspace")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(page.locator("#done")).to_be_visible()

    def by_axis(names: list[str], numbers: list[int]) -> dict[str, dict[str, int]]:
        pairs = ("accuracy", numbers[::2]), ("overall", numbers[1::2])
        return {axis: dict(zip(names, own, strict=True)) for axis, own in pairs}

    labels = stored(server.store)
    assert labels[query]["ratings"] == by_axis(shown, typed)
    assert labels[second]["ratings"] == by_axis(others, [1, 2, 3, 4, 4, 3, 2, 1])


def test_ratings_by_touch_and_what_is_missing_is_named(phone: Page, server: Server) -> None:  # noqa: F811
    opened(phone, server, RATINGS, 2)
    query, shown = phone.locator("#query").inner_text(), texts(phone)
    phone.locator("#send").tap()
    expect(phone.locator("#notice")).to_have_text("Text 1 is not rated on accuracy yet. Rate every text, or skip.")
    for text in range(4):
        tap(phone, text, 0, text + 1)
        if text != 2:
            tap(phone, text, 1, 7 - text)
    phone.locator("#send").tap()
    expect(phone.locator("#notice")).to_have_text("Text 3 is not rated on overall yet. Rate every text, or skip.")
    expect(phone.get_by_role("group", name="Text 3: overall").get_by_role("radio", name="1")).to_be_focused()
    expect(phone.get_by_role("group", name="Text 3: overall")).to_be_in_viewport()
    expect(phone.get_by_role("radio", name="All equally good")).to_have_count(0)
    tap(phone, 2, 1, 5)
    assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
    sizes = phone.locator(".step").evaluate_all("steps => steps.map((s) => [s.offsetWidth, s.offsetHeight])")
    assert min(width for width, _ in sizes) >= 32 and min(height for _, height in sizes) >= 44, "a thumb hits one"
    phone.locator("#send").tap()
    answered(phone, 1)
    phone.get_by_text("Skip: I cannot say").tap()
    phone.locator("#send").tap()
    expect(phone.locator("#done")).to_be_visible()
    labels = stored(server.store)
    assert list(labels) == [query], "a skip is no label"
    assert labels[query]["ratings"] == {
        "accuracy": dict(zip(shown, [1, 2, 3, 4], strict=True)),
        "overall": dict(zip(shown, [7, 6, 5, 4], strict=True)),
    }


def test_tab_and_arrows_alone_rank_and_the_texts_stay_text(page: Page, server: Server) -> None:  # noqa: F811
    prepared(server.store, [(EVIL[0], EVIL)], ask=RANKING)
    token = add(server.store, "eve")
    server.start()
    sign_in(page, server, token)
    expect(page.locator("#query")).to_have_text(EVIL[0])
    assert page.locator("#options img, #options script, #options a").count() == 0
    shown = texts(page)
    assert EVIL[1] in shown and any("⟦U+202E⟧" in text for text in shown)
    page.get_by_role("group", name="Text 1: place").get_by_role("radio", name="1").focus()
    for steps in range(4):  # the first one is chosen with space, others by as many arrows
        page.keyboard.press("Space")
        for _ in range(steps):
            page.keyboard.press("ArrowRight")
        page.keyboard.press("Tab")
    assert page.title() == "Label · Andon"
    page.keyboard.press("Enter")
    expect(page.locator("#done")).to_be_visible()
    labels = stored(server.store)[EVIL[0]]
    visible = {text: position for position, text in enumerate(shown)}
    assert [len(group) for group in labels["ranking"]] == [1, 1, 1, 1]
    assert EVIL[2] in labels["ranking"][0] or visible[next(iter(labels["ranking"][0]))] == 0


def test_rankings_and_ratings_have_their_pictures(browser: Browser, tmp_path: Path) -> None:  # noqa: F811
    """With ANDON_SCREENSHOTS=docs, the pictures of docs/labeling-page.md are taken."""
    for ask, phone, name in ((RANKING, False, "labeling-ranking"), (RATINGS, True, "labeling-ratings-phone")):
        (tmp_path / name).mkdir()
        shop = Server(LocalStore(tmp_path / name / "store"))
        prepared(shop.store, STORY, ask=ask)
        token = add(shop.store, "ada", ["label", "pull"])
        shop.start()
        size = {"width": 390, "height": 844} if phone else {"width": 1000, "height": 1260}
        context = browser.new_context(viewport=size, is_mobile=phone, has_touch=phone)  # type: ignore[arg-type]
        opened = context.new_page()
        sign_in(opened, shop, token)
        expect(opened.locator("#question")).to_be_visible()
        for key in "215" if phone else "213":
            opened.keyboard.press(key)
        shot(opened, name)
        context.close()
        shop.kill()
