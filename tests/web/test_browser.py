"""The labeling page in a real browser: by keyboard, over reloads and a server that goes away, on a small window."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from data.cord import cord
from data.page.accounts import add
from data.page.live import LiveSample, publish_live
from data.runs.stops import stops
from data.store import LocalStore
from tests.support.labeling import EVIL, ROOT, Server, prepared, simple, stored_answers

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
expect.set_options(timeout=300_000)  # a busy machine is slow, not wrong
SHOTS = os.environ.get("ANDON_SCREENSHOTS")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert Path(CHROMIUM).exists(), "there is no Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    opened = context.new_page()
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    yield opened
    context.close()
    assert faults == []


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    store = LocalStore(tmp_path / "store")
    made = Server(store)
    yield made
    made.kill()


def sign_in(page: Page, server: Server, token: str) -> None:
    page.goto(server.url)
    expect(page.locator("input").first).to_be_focused()
    page.keyboard.type(token)
    page.keyboard.press("Enter")
    expect(page.locator("#question, #samples").first).to_be_attached()


def answer(page: Page, key: str) -> None:
    """Answer by keyboard, and wait for the next question."""
    before = page.locator("#count").inner_text()
    page.keyboard.press(key)
    page.keyboard.press("Enter")
    expect(page.locator("#count")).not_to_have_text(before)


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png")


def test_twenty_questions_by_keyboard_over_a_reload_a_double_click_and_a_dead_server(
    page: Page, server: Server
) -> None:
    prepared(server.store, simple(20))
    token = add(server.store, "ada", ["label", "pull"])
    server.start()
    sign_in(page, server, token)
    for number in range(7):
        expect(page.locator("#question")).to_be_visible()
        answer(page, str(number % 4 + 1))
    query = page.locator("#query").inner_text()
    page.reload()
    expect(page.locator("#query")).to_have_text(query)  # the same question, in the same order
    page.keyboard.press("2")
    page.locator("#send").dblclick()
    expect(page.locator("#count")).to_contain_text("8 by you")
    for key in ("t", "s", "3", "1"):
        answer(page, key)
    server.kill()
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("Not saved yet")
    server.start()
    expect(page.locator("#count")).to_contain_text("13 by you")
    server.kill()
    page.keyboard.press("1")
    page.keyboard.press("1")  # the same key once more answers
    expect(page.locator("#notice")).to_contain_text("Not saved yet")
    server.start()
    page.reload()  # the kept answer is sent by the page that comes after
    expect(page.locator("#count")).to_contain_text("14 by you")
    for _ in range(6):
        answer(page, "2")
    expect(page.locator("#done")).to_be_visible()
    answers = stored_answers(server.store)
    assert len(answers) == 20 and len({str(a["question_id"]) for a in answers.values()}) == 20
    assert sum("ranking" in a for a in answers.values()) == 1 and sum("skip" in a for a in answers.values()) == 1


def test_the_chosen_text_is_the_stored_one_and_undo_corrects_it(page: Page, server: Server) -> None:
    texts = simple(3)
    prepared(server.store, texts)
    token = add(server.store, "ada")
    server.start()
    sign_in(page, server, token)
    expect(page.locator("#question")).to_be_visible()
    chosen = page.locator("#options .text").nth(1).inner_text()
    page.keyboard.press("c")
    page.keyboard.press("n")
    page.keyboard.type("a note")
    page.keyboard.press("Escape")
    page.locator("#query").focus()
    answer(page, "2")
    page.keyboard.press("u")
    expect(page.locator("#options input").nth(1)).to_be_checked()
    expect(page.locator("#note")).to_have_value("a note")
    instead = page.locator("#options .text").nth(3).inner_text()
    page.locator("#query").focus()
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_be_hidden()
    expect(page.locator("#options input:checked")).to_have_count(0)
    answers = stored_answers(server.store)
    first, second = (next(a for name, a in answers.items() if name.endswith(f".{n}.json")) for n in (1, 2))
    options = _options(server.store, str(first["question_id"]))
    assert (options[int(str(first["best"]))], options[int(str(second["best"]))]) == (chosen, instead)
    assert first["confidence"] == 0.3 and first["note"] == second["note"] == "a note"


def test_html_in_model_text_stays_text_and_hidden_characters_show(page: Page, server: Server) -> None:
    prepared(server.store, [(EVIL[0], EVIL)] * 1)
    token = add(server.store, "eve")
    server.start()
    publish_live(server.store, "sentiment", "run-1", 3, [LiveSample(EVIL[1], EVIL[0], EVIL[2], 0.5)], {"kl": 1.0})
    sign_in(page, server, token)
    expect(page.locator("#query")).to_have_text(EVIL[0])
    shown = page.locator("#options .text").all_inner_texts()
    assert EVIL[1] in shown and any("⟦U+202E⟧" in text and "⟦U+0007⟧" in text for text in shown)
    assert page.locator("#options img, #options script, #options a").count() == 0
    page.goto(f"{server.url}/wall")
    expect(page.locator("#samples .query")).to_have_text(EVIL[1])
    assert page.locator("#samples img, #samples script").count() == 0
    assert page.title() == "Live wall · Andon"


def test_a_phone_shows_everything_without_scrolling_sideways(browser: Browser, server: Server) -> None:
    long = "word " * 60 + "x" * 300
    prepared(server.store, [(f"{long} {q}", [f"{long}{n}" for n in range(4)]) for q in range(2)])
    token = add(server.store, "ada")
    server.start()
    context = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(f"{server.url}/#token={token}")
    expect(page.locator("#question")).to_be_visible()
    assert "token" not in page.url
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    expect(page.locator("#cord")).to_be_in_viewport()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(page.locator("#cord")).to_be_in_viewport()  # always in sight
    page.locator("#options .option").first.tap()
    page.locator("#send").tap()
    expect(page.locator("#count")).to_contain_text("1 by you")
    context.close()


def test_the_cord_is_pulled_by_keyboard_and_its_receipt_names_the_entry_of_the_log(page: Page, server: Server) -> None:
    prepared(server.store, simple(3))
    token = add(server.store, "ada", ["label", "pull", "release"])
    server.start()
    sign_in(page, server, token)
    expect(page.get_by_role("radio", name="All equally good")).to_be_visible()  # what a screen reader is told
    expect(page.get_by_role("progressbar")).to_be_visible()
    page.keyboard.press("p")
    expect(page.get_by_role("dialog", name="Pull the cord")).to_be_visible()
    page.keyboard.type("it writes <b>rude</b> things")
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#pull-receipt")).to_contain_text("Received, number 1")
    [made] = cord.open_pulls(server.store, campaign="sentiment")
    assert made.by == "ada" and made.reason == "it writes <b>rude</b> things"
    page.keyboard.press("Escape")
    expect(page.get_by_role("alert").filter(has_text="<b>rude</b>")).to_be_visible()
    page.get_by_role("button", name="Release").click()
    page.keyboard.type("looked at it")
    page.get_by_role("button", name="Let it go on").click()
    expect(page.locator("#release-receipt")).to_have_text("Released.")
    assert cord.open_pulls(server.store) == []


def test_a_click_stops_a_real_training_within_one_update(page: Page, server: Server) -> None:
    prepared(server.store, simple(3))
    server.store.put_new("campaigns/sentiment/label_sets/x.json", b"{}")
    token = add(server.store, "ada")
    server.start()
    sign_in(page, server, token)
    command = [sys.executable, "-m", "tests.support.tiny_training", server.store.uri]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as training:
        assert training.stdout is not None
        first = float(training.stdout.readline())  # it is under way
        page.locator("#cord").click()
        page.locator("#pull-reason").fill("it only writes full stops")
        clicked = time.time()
        page.locator("#pull-confirm").click()
        expect(page.locator("#pull-receipt")).to_contain_text("Received, number 1")
        received = time.time()
        updates = [first, *map(float, training.stdout.read().split())]  # to its end
        assert training.wait() == 3
    ended = time.time()
    assert stops(server.store, "sentiment", "run-1"), "it is quarantined"
    assert sum(at > received for at in updates) <= 1, "at most the update that was under way"
    print(f"click to receipt {received - clicked:.1f} s, click to the end of the training {ended - clicked:.1f} s")


def test_the_pages_have_their_pictures(browser: Browser, server: Server) -> None:
    """With ANDON_SCREENSHOTS=docs, the pictures of docs/labeling-page.md are taken."""
    prepared(server.store, STORY)
    token = add(server.store, "ada", ["label", "pull", "release"])
    server.start()
    samples = [LiveSample(q, options[0], options[1], 0.4 + n) for n, (q, options) in enumerate(STORY[:3])]
    publish_live(server.store, "sentiment", "run-x605ef17af441416", 12, samples, {"kl": 3.21, "score": 0.87})
    for scheme in ("light", "dark"):
        context = browser.new_context(viewport={"width": 1000, "height": 900}, color_scheme=scheme)
        page = context.new_page()
        sign_in(page, server, token)
        expect(page.locator("#question")).to_be_visible()
        page.keyboard.press("2")
        shot(page, {"light": "labeling-page", "dark": "labeling-dark"}[scheme])
        if scheme == "light":
            page.goto(f"{server.url}/wall")
            expect(page.locator("#samples article").first).to_be_visible()
            shot(page, "labeling-wall")
        context.close()
    context = browser.new_context(viewport={"width": 390, "height": 844}, device_scale_factor=1, is_mobile=True)
    page = context.new_page()
    sign_in(page, server, token)
    expect(page.locator("#question")).to_be_visible()
    shot(page, "labeling-phone")
    context.close()


def _options(store: LocalStore, question: str) -> tuple[str, ...]:
    from data.batches.index import read_batch
    from data.page.answers import questions

    batch = read_batch(store, "sentiment", "b1")
    assert batch is not None
    return questions(batch)[question].options


STORY = [
    (
        f"{name} closed the door behind her and looked at the harbour. The boats had come in early, and the men "
        "were mending nets on the wall.",
        [
            '"What a morning!" she laughed, and ran down the steps to meet them.',
            "She did not move for a long time, and then she went in again without a word.",
            "The smell of tar and salt was strong, and the gulls screamed over the grey water.",
            '"They will be hungry," said the old man. He was right, as he always was.',
        ],
    )
    for name in ("Anna", "Clara", "Martha", "Judith")
]
