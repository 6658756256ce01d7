"""What a run in progress writes: fresh samples beside zero-shot, for the people who watch the wall.

Small sealed documents, named by the time they were made, so that the newest is the last of a listing. They are shown
and nothing else: no step reads them.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from typing_extensions import TypedDict

from data.canonical import plain, seal
from data.paths import LIVE, LIVE_FILE, live_prefix
from data.shapes import unsealed
from data.store import Store


class LiveSample(NamedTuple):
    """One query, answered by the base and by the policy as it is now; the score is None where it is not a number."""

    query: str
    zero_shot: str
    response: str
    score: float | None


class Live(NamedTuple):
    """What a run wrote after one update."""

    campaign: str
    run: str
    update: int
    at: str
    samples: list[LiveSample]
    metrics: dict[str, float]


class StoredSample(TypedDict):
    """LiveSample as it is stored."""

    query: str
    zero_shot: str
    response: str
    score: float | None


class StoredLive(TypedDict):
    """Live as it is stored."""

    campaign: str
    run: str
    update: int
    at: str
    samples: list[StoredSample]
    metrics: dict[str, float]


def publish_live(
    store: Store, campaign: str, run: str, update: int, samples: Sequence[LiveSample], metrics: Mapping[str, object]
) -> None:
    """Publish what a run writes after `update` updates; metrics that are not numbers are left out."""
    now = datetime.now(UTC)
    document = {
        "campaign": campaign,
        "run": run,
        "update": update,
        "at": now.isoformat(timespec="seconds"),
        "samples": [plain(sample._replace(score=_number(sample.score))._asdict()) for sample in samples],
        "metrics": {name: value for name, value in metrics.items() if _number(value) is not None},
    }
    store.put_new(f"{live_prefix(campaign)}/{now:%Y%m%dT%H%M%S%f}-{run}.json", seal(document))


def latest_live(store: Store, campaign: str | None = None) -> Live | None:
    """Return what a run of the campaign, or of any, wrote last; None where none has written."""
    listed = store.keys(LIVE if campaign is None else live_prefix(campaign))
    keys = [key for key in listed if LIVE_FILE.fullmatch(key.rsplit("/", 1)[1])]
    if not keys:
        return None
    newest = max(keys, key=lambda key: key.rsplit("/", 1)[1])
    stored = unsealed(store.read(newest), StoredLive, f"{newest} in {store.uri}")
    samples = [
        LiveSample(each["query"], each["zero_shot"], each["response"], each["score"]) for each in stored["samples"]
    ]
    return Live(stored["campaign"], stored["run"], stored["update"], stored["at"], samples, stored["metrics"])


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and math.isfinite(value) else None
