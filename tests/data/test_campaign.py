"""Every shipped campaign loads with every preset, and nothing that is wrong loads."""

from pathlib import Path

import pytest

from data.campaign import Campaign, load_campaign
from data.campaign.campaign import SHIPPED, presets, shipped_campaigns
from data.errors import Refused

ALL = [(name, preset) for name in shipped_campaigns() for preset in (None, *presets(name))]


@pytest.mark.parametrize(("name", "preset"), ALL)
def test_every_shipped_campaign_loads(name: str, preset: str | None) -> None:
    campaign = load_campaign(name, preset)
    assert campaign.name == name
    assert campaign.policy.batch % campaign.policy.responses_per_query == 0
    assert campaign.policy.episodes >= campaign.policy.batch


def test_the_campaign_of_the_example_loads() -> None:
    campaign = load_campaign(str(SHIPPED.parent / "docs" / "by-hand" / "places.toml"))
    assert campaign.labelers is None, "the example is answered by hand"


def test_campaigns_ship() -> None:
    assert {"sentiment", "descriptiveness"} <= set(shipped_campaigns())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("episodes =", "episode =", "policy.episode"),
        ("[reward]", "[rewards]", "rewards"),
        ("temperature = 0.7", 'temperature = "warm"', "text.temperature"),
        ("temperature = 0.7", "temperature = 0", "text.temperature"),
        ("[text]", "[text", "cannot be read"),
        ("responses_per_query = 4", "responses_per_query = 5", "must be a multiple"),
        ("truncate_after = 16", "truncate_after = 24", "lies behind the last of 24 response_tokens"),
        ("responses_per_query = 4", "responses_per_query = 4\nclip = -0.2", "policy.clip"),
        ("temperature = 0.7", "temperature = inf", "text.temperature"),
        ("queries = 512", "queries = 1", "evaluation.queries"),
        ("temperature = 0.7", "temperature = true", "text.temperature: true is no number"),
        ("temperature = 0.7", 'temperature = "0.7"', "text.temperature: '0.7' is text, and must be a number"),
        ("[reward]", "[ask]\nkind = 'ratings'\naxes = []\n\n[reward]", "ask.axes"),
        ("[presets.vendor.batch]", "[presets]\nodd = 3\n\n[presets.vendor.batch]", "a preset is a table"),
    ],
)
def test_a_wrong_key_or_value_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (SHIPPED / "sentiment.toml").read_text()
    assert old in text
    (tmp_path / "mine.toml").write_text(text.replace(old, new))
    with pytest.raises(Refused, match=message):
        load_campaign(str(tmp_path / "mine.toml"))


def test_unknown_campaigns_and_presets_are_refused_with_what_there_is() -> None:
    with pytest.raises(Refused, match="Shipped: .*sentiment"):
        load_campaign("sentimental")
    with pytest.raises(Refused, match="paper-774m"):
        load_campaign("sentiment", "paper-124m")
    with pytest.raises(Refused, match="instructions: .*at least 1"):
        load_campaign("sentiment", changes={"instructions": ""})
    with pytest.raises(Refused, match=r"no campaign .*mine\.toml"):
        load_campaign("mine.toml")


def test_presets_and_changes_replace_only_what_they_name() -> None:
    plain, paper = load_campaign("sentiment"), load_campaign("sentiment", "paper-774m")
    assert (paper.policy.episodes, paper.policy.batch, paper.policy.lr) == (2_000_000, 1024, 1.41e-5)
    assert paper.text == plain.text
    changed = load_campaign("sentiment", changes={"policy": {"lr": 0.5}})
    assert changed == plain.model_copy(update={"policy": plain.policy.model_copy(update={"lr": 0.5})})


def test_the_recipe_holds_all_that_decides_a_run_and_nothing_else(campaign: Campaign) -> None:
    for section in ("text", "reward", "policy", "evaluation", "judges", "promotion"):
        assert section in campaign.recipe()
    other_batch = campaign.model_copy(update={"batch": campaign.batch.model_copy(update={"questions": 999})})
    assert other_batch.recipe() == campaign.recipe()
