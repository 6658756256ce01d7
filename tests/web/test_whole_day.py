# ruff: noqa: F811 (fixtures of another module are arguments here)
"""The page for somebody who labels all day: keys of every layout, drafts, own answers, and nothing out of sight."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from data.campaign.settings import Ask
from data.page.accounts import add
from data.page.live import LiveSample, publish_live
from data.store import LocalStore
from tests.support.labeling import prepared, simple, stored_answers
from tests.support.visitor import Site, opened
from tests.web.test_browser import STORY, browser, page, shot  # noqa: F401
from web.desk import Desk
from web.desks import Desks

pytestmark = pytest.mark.browser
MANY = [(f"query {n}", [f"answer {n} of {letter}" for letter in "abcdefghij"]) for n in range(2)]
PRESS = """([code, key]) => document.activeElement.dispatchEvent(
    new KeyboardEvent("keydown", { code, key, bubbles: true, cancelable: true }))"""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.stop()


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def sign_in(page: Page, site: Site, store: LocalStore, name: str = "ada", roles: str = "label pull release") -> None:
    """Serve what the store has now, and sign a new labeler in."""
    token = add(store, name, roles.split())
    site.page = opened(store)
    page.goto("about:blank")  # or the address would be the same, but for its fragment
    page.goto(f"{site.url}/#token={token}")
    expect(page.locator("#count")).not_to_be_empty()


def press(page: Page, code: str, key: str) -> None:
    page.evaluate(PRESS, [code, key])


def best_of(answer: dict[str, Any], store: LocalStore) -> str:
    return opened(store).desks.last.questions[str(answer["question_id"])].options[int(answer["best"])]


@pytest.mark.parametrize("layout", [{}, {"KeyS": "ы", "KeyT": "е", "Digit2": "é"}], ids=["unknown", "known"])
def test_keys_are_places_and_hints_show_what_the_layout_has_there(
    page: Page,
    site: Site,
    store: LocalStore,
    layout: dict[str, str],
) -> None:
    page.add_init_script(f"""Object.defineProperty(navigator, "keyboard", {{
        value: {{ getLayoutMap: async () => new Map(Object.entries({layout})) }} }})""")
    prepared(store, simple(2))
    sign_in(page, site, store)
    press(page, "Digit2", "é")  # as a French keyboard has it
    expect(page.locator("#options input").nth(1)).to_be_checked()
    press(page, "KeyS", "ы")  # as a Russian one has it
    expect(page.locator("[value=skip]")).to_be_checked()
    press(page, "Numpad3", "3")
    expect(page.locator("#options input").nth(2)).to_be_checked()
    expect(page.locator("kbd[data-code=KeyS]")).to_have_text("Ы" if layout else "S")
    press(page, "KeyS", "ы")
    press(page, "KeyS", "ы")  # once more answers
    expect(page.locator("#count")).to_contain_text("1 by you")


def test_shortcuts_can_be_switched_off_and_stay_off(page: Page, site: Site, store: LocalStore) -> None:
    prepared(store, simple(2))
    sign_in(page, site, store)
    page.get_by_label("One-key shortcuts").uncheck()
    page.reload()
    expect(page.locator("#question")).to_be_visible()
    for key in ("2", "t", "s", "b", "n", "p", "u"):
        page.keyboard.press(key)
    expect(page.locator("#question input:checked")).to_have_count(0)
    expect(page.locator("dialog[open], #words[open]")).to_have_count(0)
    expect(page.locator("#options kbd").first).to_be_hidden()
    page.locator("#options input").first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.locator("#count")).to_contain_text("1 by you")
    page.get_by_label("One-key shortcuts").check()
    page.locator("#query").focus()
    page.keyboard.press("2")
    expect(page.locator("#options input").nth(1)).to_be_checked()


def test_the_chosen_text_is_never_under_the_bar(page: Page, site: Site, store: LocalStore) -> None:
    prepared(store, [("query", [f"{letter} {'word ' * 120}" for letter in "abcdefgh"])])
    page.set_viewport_size({"width": 900, "height": 520})
    sign_in(page, site, store)
    page.keyboard.press("8")
    for key in ["ArrowUp"] * 9 + ["ArrowDown"] * 9 + ["1", "8", "5", "2"]:
        page.keyboard.press(key)
        top, bottom, bar = page.evaluate("""() => {
            const box = document.querySelector(".option:has(:checked)").getBoundingClientRect();
            return [box.top, box.bottom, document.querySelector(".bar").getBoundingClientRect().bottom]; }""")
        assert top >= bar and bottom <= 520, (key, top, bottom, bar)


def test_the_question_stays_in_sight_on_a_wide_window(page: Page, site: Site, store: LocalStore) -> None:
    prepared(store, [("query " * 20, [f"{letter} {'word ' * 150}" for letter in "abcdefghij"])])
    page.set_viewport_size({"width": 1500, "height": 800})
    sign_in(page, site, store)
    page.keyboard.press("0")
    expect(page.locator("#options input").nth(9)).to_be_checked()
    expect(page.locator("#options input").nth(9)).to_be_in_viewport()
    expect(page.locator("#query")).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_zero_is_the_tenth_text_and_the_tenth_place(page: Page, site: Site, store: LocalStore) -> None:
    prepared(store, MANY)
    sign_in(page, site, store)
    assert page.locator("#options kbd").all_inner_texts() == list("1234567890")
    chosen = page.locator("#options [data-text]").nth(9).inner_text()
    page.keyboard.press("0")
    page.keyboard.press("0")
    expect(page.locator("#count")).to_contain_text("1 by you")
    [answer] = stored_answers(store).values()
    assert best_of(answer, store) == chosen
    prepared(store, MANY, ask=Ask(kind="ranking"), name="b2")
    site.page = opened(store, "b2")
    page.reload()
    expect(page.locator(".judged")).to_have_count(10)
    page.keyboard.press("0")
    expect(page.get_by_role("group", name="Text 1: place").get_by_role("radio", name="10")).to_be_checked()


def test_drafts_outlast_a_reload_and_a_session_and_are_not_for_others(
    page: Page,
    site: Site,
    store: LocalStore,
) -> None:
    prepared(store, simple(3))
    sign_in(page, site, store)
    query = page.locator("#query").inner_text()
    page.keyboard.press("3")
    page.keyboard.press("n")
    page.keyboard.type("typed for minutes")
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    site.page = opened(store)  # started again
    page.reload()
    expect(page.locator("#query")).to_have_text(query)
    expect(page.locator("#note")).to_have_value("typed for minutes")
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#token")).to_be_visible()
    sign_in(page, site, store, "bob")
    expect(page.locator("#note")).to_have_value("")
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('draft of ada'))") == []


def test_a_draft_ends_when_its_answer_is_saved_and_its_flag_needs_no_choice(
    page: Page,
    site: Site,
    store: LocalStore,
) -> None:
    prepared(store, simple(2))
    sign_in(page, site, store)
    page.keyboard.press("b")
    page.keyboard.press("n")
    page.keyboard.type("the text is cut")
    page.reload()  # session and question are the same
    expect(page.get_by_label("This question is broken")).to_be_checked()
    expect(page.locator("#note")).to_have_value("the text is cut")
    page.locator("#query").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#count")).to_contain_text("1 by you")
    expect(page.get_by_label("This question is broken")).not_to_be_checked()
    [answer] = stored_answers(store).values()
    assert answer["skip"] is True and answer["flags"] == ["broken_question"] and answer["note"] == "the text is cut"
    assert page.evaluate("Object.keys(localStorage)") == []


def test_undo_has_a_way_back_and_every_own_answer_can_be_changed(page: Page, site: Site, store: LocalStore) -> None:
    prepared(store, [*STORY, ("One more.", STORY[0][1])])
    sign_in(page, site, store)
    queries = []
    for number in range(3):
        queries.append(page.locator("#query").inner_text())
        page.keyboard.press(str(number + 1))
        page.keyboard.press("Enter")
        expect(page.locator("#count")).to_contain_text(f"{number + 1} by you")
    current = page.locator("#query").inner_text()
    for by_key in (True, False):
        page.keyboard.press("u")
        expect(page.locator("#query")).to_have_text(queries[-1])
        if by_key:
            page.keyboard.press("Escape")
        else:
            page.get_by_role("button", name="Back to the current question").click()
        expect(page.locator("#query")).to_have_text(current)
        expect(page.locator("#notice")).to_be_hidden()
    page.get_by_role("link", name="My answers").click()
    lines = page.locator("#answers li")
    expect(lines).to_have_count(3)
    assert [line.split("\n")[0] for line in lines.all_inner_texts()] == queries[::-1]
    shot(page, "labeling-answers")
    expect(lines.nth(2)).to_contain_text("Text 1")
    lines.nth(2).get_by_role("link").click()
    expect(page.locator("#query")).to_have_text(queries[0])
    expect(page.locator("#options input").first).to_be_checked()
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    expect(page.locator("#query")).to_have_text(current)
    page.get_by_role("link", name="My answers").click()
    expect(lines.nth(2)).to_contain_text("Text 4")
    expect(lines.nth(2)).to_contain_text("changed")
    assert len(stored_answers(store)) == 4


def test_nothing_left_goes_on_by_itself_with_a_lapsed_question_and_a_newer_batch(
    page: Page,
    site: Site,
    store: LocalStore,
) -> None:
    now = [0.0]

    def newer(desk: Desk) -> Desk | None:
        return Desk(store, "sentiment", following[0]) if desk.batch == "b1" and following else None

    following: list[Any] = []
    batch = prepared(store, simple(1))
    page.clock.install()
    token = add(store, "ada")
    first = Desk(store, "sentiment", batch, clock=lambda: now[0])
    site.page = opened(store, desks=Desks(first, newer, clock=lambda: now[0]))
    assert first.next_for("bob") is not None
    page.goto(f"{site.url}/#token={token}")
    expect(page.locator("#done")).to_be_visible()
    page.clock.run_for(6_000)
    expect(page.locator("#done")).to_be_visible()
    now[0] = 601.0
    page.clock.run_for(6_000)
    expect(page.locator("#query")).to_have_text("query 0")
    page.keyboard.press("1")
    page.keyboard.press("1")
    expect(page.locator("#done")).to_be_visible()
    following.append(prepared(store, MANY, name="b2"))
    now[0] = 700.0
    page.clock.run_for(6_000)
    expect(page.locator("#options [data-text]")).to_have_count(10)  # the form of the newer batch
    expect(page.locator("#count")).to_contain_text("0 by you · 0 of 2")


def test_an_empty_text_is_written_out(page: Page, site: Site, store: LocalStore) -> None:
    prepared(store, [("query", ["", "two", "three ", "four"])])
    sign_in(page, site, store)
    expect(page.get_by_role("radio", name="(empty)")).to_be_visible()
    expect(page.locator("#options").get_by_text("three⟦U+0020⟧")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_nothing_to_say_about_any_page(browser: Browser, site: Site, tmp_path: Path, scheme: str) -> None:
    asks = {"best": Ask(), "ranking": Ask(kind="ranking"), "ratings": Ask(kind="ratings", axes=("accuracy", "overall"))}
    context = browser.new_context(viewport={"width": 1500, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page, axe = context.new_page(), Axe()

    def check(what: str) -> None:
        for width in (1500, 390) if scheme == "light" else (1500,):  # colours are the same on a phone
            page.set_viewport_size({"width": width, "height": 900})
            violations = axe.run(page).response["violations"]
            summary = [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in violations]
            assert summary == [], (what, width)

    for name, ask in asks.items():
        (tmp_path / name).mkdir()
        store = LocalStore(tmp_path / name / "store")
        prepared(store, STORY[:2], ask=ask)
        site.page = opened(store)
        if name == "best":
            page.goto(site.url)
            check("sign in")
        sign_in(page, site, store, name)
        page.keyboard.press("2")
        page.keyboard.press("n")
        check(name)
        page.locator("#query").focus()
        page.keyboard.press("s")
        page.keyboard.press("Enter")
        expect(page.locator("#count")).to_contain_text("1 by you")
        page.keyboard.press("u")
        expect(page.locator("#return")).to_be_visible()
        check("undo")
        page.keyboard.press("Escape")
        expect(page.locator("#return")).to_be_hidden()
        if name != "best":
            continue
        page.keyboard.press("p")
        page.keyboard.type("a reason")
        check("pull")
        page.locator("#pull-confirm").click()
        expect(page.locator("#pull-receipt")).to_contain_text("Received")
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Release").click()
        check("release")
        page.keyboard.press("Escape")
        check("stopped")
        page.goto(f"{site.url}/mine")
        expect(page.locator("#answers li")).to_have_count(1)
        check("my answers")
        publish_live(store, "sentiment", "run-1", 3, [LiveSample("query", "one", "two", 0.5)], {"kl": 1.0})
        page.goto(f"{site.url}/wall")
        expect(page.locator("#samples article")).to_have_count(1)
        check("wall")
        page.goto(site.url)
        expect(page.locator("#question")).to_be_visible()
        page.keyboard.press("s")
        page.keyboard.press("Enter")
        expect(page.locator("#done")).to_be_visible()
        check("done")
    context.close()
