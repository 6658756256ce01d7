"""Parameters of flows with their descriptions, which make a deployment's page in Prefect a form for people."""

from typing import Annotated

from pydantic import Field
from pydantic.config import JsonDict


def _says(text: str) -> JsonDict:
    """Describe a parameter: Prefect replaces a plain `description` by the flow's docstring."""
    return {"description": text}


CampaignName = Annotated[
    str, Field(json_schema_extra=_says("a shipped campaign, or the path of a .toml file on the worker"))
]
CampaignOrAll = Annotated[
    str | None, Field(json_schema_extra=_says("a campaign of the store; the default is all that have batches"))
]
StoreUri = Annotated[str, Field(json_schema_extra=_says("the folder or s3://bucket/prefix that contains everything"))]
Questions = Annotated[
    int | None, Field(ge=1, json_schema_extra=_says("how many questions to ask; the default is the campaign's"))
]
Queries = Annotated[
    int | None, Field(ge=2, json_schema_extra=_says("how many test queries; the default is the campaign's"))
]
Seed = Annotated[
    int, Field(ge=0, json_schema_extra=_says("the seed of weights, orders and samples; another seed is another run"))
]
BaseModel = Annotated[str | None, Field(json_schema_extra=_says("embedded, a checkpoint folder, or a hub name"))]
Preset = Annotated[
    str | None, Field(json_schema_extra=_says("settings that the campaign's file has under a name, such as code-124m"))
]
RoundNumber = Annotated[int | None, Field(ge=1, json_schema_extra=_says("the round; by default the one that is due"))]
ThroughRound = Annotated[int | None, Field(ge=1, json_schema_extra=_says("only labels up to this round are used"))]
Despite = Annotated[
    str | None,
    Field(json_schema_extra=_says("the reason to train although the campaign changed since its labels were asked for")),
]
DecidedBy = Annotated[str | None, Field(json_schema_extra=_says("who decided that; the default is the worker's login"))]
RunOrNone = Annotated[
    str | None,
    Field(json_schema_extra=_says("a finished run; without a run, systems are compared")),
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
