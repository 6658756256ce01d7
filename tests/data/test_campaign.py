"""Every shipped campaign loads with every preset, and nothing that is wrong loads."""

from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest

from data.campaign import Campaign, load_campaign
from data.campaign.campaign import SHIPPED, presets, shipped_campaigns
from data.campaign.section import Settings
from data.campaign.settings import (
    Ask,
    Batch,
    Checkpointing,
    Evaluation,
    Labelers,
    Promotion,
    Quality,
    Sentinels,
    TextFormat,
    Vendor,
    Watching,
)
from data.errors import Refused

CAREFUL = Labelers(prefers="positive", count=3, noise=0.1, slot_bias=0.0, error_rate=0.0, seed=1)
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


# Whether a setting decides a run's weights, and so its id. `name` is in the id apart from the recipe; the base is there
# as its fingerprint, queries of one's own as hashes of their files, and labels as their set.
DECIDES = {
    "text": set(TextFormat.model_fields),
    "supervised": {"batch", "lr", "dropout", "validation_share"},
    "reward": {"batch", "lr", "held_out_share", "normalisation_samples", "normalise_on", "models"},
    "policy": {
        *("episodes", "batch", "responses_per_query", "epochs", "lr", "kl_coefficient", "kl_target", "kl_horizon"),
        *("value_model", "whiten_rewards", "gamma", "lam", "clip", "value_clip", "value_coefficient"),
    },
}
WITHOUT_EFFECT: dict[str, type[Settings]] = {
    **{"batch": Batch, "ask": Ask, "vendor": Vendor, "quality": Quality, "checkpoints": Checkpointing},
    **{"watching": Watching, "sentinels": Sentinels, "evaluation": Evaluation, "promotion": Promotion},
    **{"labelers": Labelers, "judges": Labelers},
}
DECIDES_NOTHING = {
    "supervised": {"micro_batch"},
    "reward": {"micro_batch"},
    "policy": {"micro_batch"},
    **{section: set(settings.model_fields) for section, settings in WITHOUT_EFFECT.items()},
}
TOP_LEVEL = {"name", "base", "instructions"}  # a run's folder, its base's fingerprint, its labels


def whole() -> Campaign:
    """Return a campaign that has every section."""
    sections = {
        "supervised": {"batch": 8, "lr": 1e-4},
        "labelers": CAREFUL.model_dump(),
        "judges": CAREFUL.model_dump(),
    }
    return load_campaign("sentiment", changes=sections)


def other(value: object, wanted: object) -> object:
    """Return another value of a setting's type."""
    choices = get_args(wanted)
    if get_origin(wanted) is Literal:
        return next(choice for choice in choices if choice != value)
    if value is None:
        kind = next(choice for choice in choices if choice is not type(None))
        return {int: 3, float: 0.3, str: "other"}.get(kind, ("other", "another"))
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return f"{value}x" if isinstance(value, str) else ("accuracy",)


SETTINGS = [
    (section, name)
    for section in Campaign.model_fields
    if section not in TOP_LEVEL
    for name in type(getattr(whole(), section)).model_fields
]


@pytest.mark.parametrize(("section", "name"), SETTINGS)
def test_a_setting_names_a_run_if_it_decides_its_weights(section: str, name: str) -> None:
    campaign = whole()
    settings = getattr(campaign, section)
    value = other(getattr(settings, name), type(settings).model_fields[name].annotation)
    assert value != getattr(settings, name)
    changed = campaign.model_copy(update={section: settings.model_copy(update={name: value})})
    decides = name in DECIDES.get(section, set())
    assert decides != (name in DECIDES_NOTHING.get(section, set())), "a new setting gets a line in one of the tables"
    assert (changed.recipe() != campaign.recipe()) == decides


def test_the_recipe_holds_all_that_decides_a_run_and_nothing_else() -> None:
    listed = {(section, name) for table in (DECIDES, DECIDES_NOTHING) for section in table for name in table[section]}
    assert listed == set(SETTINGS), "the tables name every setting, and no other"
    campaign = whole()
    for name in TOP_LEVEL:
        assert campaign.model_copy(update={name: "other"}).recipe() == campaign.recipe()
    assert campaign.model_copy(update={"supervised": None}).recipe() != campaign.recipe()
    assert campaign.model_copy(update={"judges": None}).recipe() == campaign.recipe()


def test_where_queries_of_ones_own_are_kept_names_no_run() -> None:
    campaign = whole()
    here, there = (
        campaign.model_copy(update={"text": campaign.text.model_copy(update={"queries": folder})})
        for folder in ("here/queries", "/there")
    )
    assert here.recipe() == there.recipe() != campaign.recipe()
