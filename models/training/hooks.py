"""The functions that a training calls while it runs, and its checkpoints."""

from dataclasses import dataclass, field

from data.runs.checkpoints import Checkpoints
from models.training.loop import Look, unwatched


@dataclass(frozen=True)
class Hooks:
    """The hooks of one training. By default none does anything.

    `look` raises if the line is stopped. It is called before each step, and PPO also calls it while it samples. The
    state after the last complete step is then saved. With `checkpoints`, a killed training continues from the last one
    to the same weights and metrics. With `recompute`, activations are not kept, but computed again for the gradients.
    """

    look: Look = unwatched
    checkpoints: Checkpoints | None = None
    recompute: bool = field(default=False, kw_only=True)


NO_HOOKS = Hooks()
