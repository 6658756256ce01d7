"""What flows are asked for: each with what it means, so that a deployment's page in Prefect is a form for people."""

from typing import Annotated

from pydantic import Field
from pydantic.config import JsonDict


def _says(text: str) -> JsonDict:
    """Describe a parameter: Prefect overwrites a plain `description` by what it finds in the flow's docstring."""
    return {"description": text}


CampaignName = Annotated[
    str, Field(json_schema_extra=_says("a shipped campaign, or the path of a .toml file on the worker"))
]
CampaignOrAll = Annotated[
    str | None, Field(json_schema_extra=_says("a campaign of the store; without one, all that have batches there"))
]
StoreUri = Annotated[str, Field(json_schema_extra=_says("the folder or s3://bucket/prefix that holds everything"))]
Questions = Annotated[
    int | None, Field(ge=1, json_schema_extra=_says("how many questions to ask; the campaign says by default"))
]
Queries = Annotated[
    int | None, Field(ge=2, json_schema_extra=_says("how many test queries; the campaign says by default"))
]
Seed = Annotated[
    int, Field(ge=0, json_schema_extra=_says("of weights, orders and samples: another one is another run"))
]
BaseModel = Annotated[str | None, Field(json_schema_extra=_says("embedded, a checkpoint folder, or a hub name"))]
Preset = Annotated[
    str | None, Field(json_schema_extra=_says("settings named in the campaign's file, such as code-124m"))
]
RoundNumber = Annotated[int | None, Field(ge=1, json_schema_extra=_says("which round; the one that is due by default"))]
ThroughRound = Annotated[int | None, Field(ge=1, json_schema_extra=_says("use labels up to this round only"))]
RunOrNone = Annotated[
    str | None, Field(json_schema_extra=_says("a finished run, as andon status names it; without one, systems"))
]
SystemName = Annotated[
    str,
    Field(
        json_schema_extra=_says("reference, lead-3, zero-shot, supervised, rl, supervised-rl, best-of-4, or a run id")
    ),
]
SystemNames = Annotated[
    list[str] | None,
    Field(
        json_schema_extra=_says("reference, lead-3, zero-shot, supervised, rl, supervised-rl, best-of-n, or run ids")
    ),
]
