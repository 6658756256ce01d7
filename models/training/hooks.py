"""What a training calls while it runs: who may stop it, who is told what it measured, and where it saves its state."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from data.runs.checkpoints import Checkpoints
from models.training.loop import Look, unwatched

Metrics = dict[str, float]


def _ignore(*_: Any) -> None:
    pass


def _measure_nothing(_: Any) -> Metrics:
    return {}


@dataclass(frozen=True)
class Hooks:
    """The hooks of one training. By default none does anything.

    `look` raises if the line is stopped; it is called before each step, and PPO also calls it while it samples. The
    state after the last whole step is then saved. `last_look` is the look after the last update of PPO.

    With `checkpoints`, a killed training continues from the last one to the same weights and metrics.

    PPO alone calls the other three. `log` gets one dictionary for each update; after a restart it first gets those of
    earlier updates again. `show` gets the number of updates done, the policy (models/ppo/policy.py) and the last
    metrics. `inspect` gets an Update (models/ppo/train.py) and returns what it measured, which joins the metrics.
    """

    look: Look = unwatched
    last_look: Look = unwatched
    log: Callable[[Metrics], None] = _ignore
    show: Callable[[int, Any, Metrics], None] = _ignore
    inspect: Callable[[Any], Metrics] = _measure_nothing
    checkpoints: Checkpoints | None = None


NO_HOOKS = Hooks()
