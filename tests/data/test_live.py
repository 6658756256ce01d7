"""The wall shows what a run wrote last, whatever it wrote."""

from pathlib import Path

from data.page.live import LiveSample, latest_live, publish_live
from data.store import LocalStore


def test_the_newest_is_shown_of_a_campaign_or_of_all(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    assert latest_live(store) is None
    sample = LiveSample("q", "z", "<b>r</b>", 0.5)
    for update, campaign in enumerate(("tldr", "tldr", "cnndm")):
        publish_live(store, campaign, f"run-{campaign}", update, [sample, sample], {"kl": 1.5})
    newest, of_tldr = latest_live(store), latest_live(store, "tldr")
    assert newest is not None and (newest.campaign, newest.run, newest.update) == ("cnndm", "run-cnndm", 2)
    assert of_tldr is not None and (of_tldr.update, of_tldr.samples) == (1, [sample, sample])
    assert latest_live(store, "sentiment") is None


def test_what_is_no_number_is_published_all_the_same(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    publish_live(store, "tldr", "r", 0, [LiveSample("\ud800", "", "", float("nan"))], {"kl": float("inf"), "n": 1.0})
    shown = latest_live(store)
    assert shown is not None and shown.samples[0].score is None and shown.metrics == {"n": 1.0}
