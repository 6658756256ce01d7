"""A campaign: one labeled behaviour with all of its settings, from one TOML file.

A file may carry `[presets.NAME]` tables that replace part of its settings, such as the paper's own hyperparameters.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from data.campaign.section import Settings
from data.campaign.settings import (
    Ask,
    Batch,
    Checkpointing,
    Evaluation,
    Labelers,
    Policy,
    Promotion,
    Quality,
    Reward,
    Sentinels,
    Supervised,
    TextFormat,
    Vendor,
    Watching,
)
from data.canonical import Document
from data.errors import Refused
from data.escape import first_line, shown_name
from data.plain_file import read_plain

WEIGHTS = ("text", "supervised", "reward", "policy")  # sections that decide a run's weights
MOST_BYTES = 1 << 20  # of a campaign's file
SHIPPED = Path(__file__).resolve().parents[2] / "campaigns"


class Campaign(Settings):
    free = frozenset(
        {"name", "base", "vendor", "quality", "supervised", "reward", "policy", "checkpoints"}
    ) | frozenset({"watching", "sentinels", "evaluation", "promotion", "labelers", "judges"})

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{1,40}$")
    base: str  # "embedded", a folder, or a name that transformers loads
    instructions: str = Field(min_length=1)
    text: TextFormat
    batch: Batch
    ask: Ask = Ask()
    vendor: Vendor = Vendor()
    quality: Quality = Quality()
    supervised: Supervised | None = None  # for queries that come with a reference response
    reward: Reward
    policy: Policy
    checkpoints: Checkpointing = Checkpointing()
    watching: Watching = Watching()
    sentinels: Sentinels = Sentinels()
    evaluation: Evaluation
    promotion: Promotion
    labelers: Labelers | None = None  # answer batches at once; without them, people do
    judges: Labelers | None = None  # decide the win rate; never the labelers whose answers were trained on

    @property
    def shown_instructions(self) -> str:
        """What labelers read above a question: the campaign's own words, and what else is asked of them."""
        return " ".join(filter(None, [self.instructions, self.ask.wording()]))

    def measuring(self) -> list[Document | None]:
        """Return the settings that decide an evaluation, in addition to its systems and its seed."""
        judges = None if self.judges is None else self.judges.model_dump()
        return [self.evaluation.model_dump(), self.text.model_dump(), judges]

    def recipe(self) -> Document:
        """Return the settings that decide a run's weights, and nothing else: part of the run's id.

        `micro_batch` is left out: as the number of threads and processes, it decides how the same sums are computed.
        """
        recipe = self.model_dump(mode="json", include=set(WEIGHTS))
        recipe["text"]["queries"] = self.text.source  # an id has the hashes of one's own files, wherever they lie
        for section in ("supervised", "reward", "policy"):
            (recipe[section] or {}).pop("micro_batch", None)
        return recipe

    def old_recipe(self) -> Document:
        """Return the settings that named a run before the evaluation and the bar left its id."""
        return self.model_dump(mode="json", include={*WEIGHTS, "evaluation", "judges", "promotion"})

    def run_settings(self) -> Document:
        """Return the settings that a run's report shows: those that decide its weights, and how it is measured."""
        return self.old_recipe()


def shipped_campaigns() -> list[str]:
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def presets(campaign: str) -> list[str]:
    """Name the presets of a campaign."""
    return sorted(_read(campaign).get("presets", {}))


def load_campaign(campaign: str, preset: str | None = None, changes: Mapping[str, Any] | None = None) -> Campaign:
    """Load a shipped campaign by name, or any by the path of its TOML; raise Refused naming every wrong key.

    `preset` and then `changes` replace part of the settings.
    """
    settings = _read(campaign)
    choices = settings.pop("presets", {})
    if not isinstance(choices, dict) or not all(isinstance(each, dict) for each in choices.values()):
        raise Refused(f"Campaign {campaign} is not right: presets: a preset is a table, such as [presets.small.batch].")
    if preset is not None:
        if preset not in choices:
            offered = ", ".join(sorted(choices)) or "none"
            raise Refused(f"Campaign {campaign} has no preset {preset}; it has: {offered}.")
        settings = merged(settings, choices[preset])
    settings = merged(settings, changes or {})
    try:
        return Campaign.model_validate(settings, context="file")
    except ValidationError as error:
        told = [(".".join(map(str, e["loc"])), e["msg"].removeprefix("Value error, ")) for e in error.errors()]
        faults = "; ".join(f"{key or 'file'}: {fault}" for key, fault in told)
        raise Refused(f"Campaign {campaign} is not right: {faults}.") from error


def merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with `changes` laid over them, table by table."""
    result = dict(settings)
    for key, value in changes.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def _read(campaign: str) -> dict[str, Any]:
    path = Path(campaign) if campaign.endswith(".toml") else SHIPPED / f"{campaign}.toml"
    try:
        return tomllib.loads(read_plain(path, MOST_BYTES).decode("utf-8-sig"))
    except FileNotFoundError as error:
        offered = ", ".join(shipped_campaigns())
        raise Refused(
            f"There is no campaign {campaign}. Shipped: {offered}; or give the path of a .toml file."
        ) from error
    except RecursionError as error:
        raise Refused(f"Campaign {shown_name(str(path))} is nested too deeply: correct the file.") from error
    except (ValueError, OSError) as error:
        raise Refused(
            f"Campaign {shown_name(str(path))} cannot be read: {first_line(error)}. Correct the file."
        ) from error
