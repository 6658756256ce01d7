"""The learning curve: held-out accuracy of reward models that are trained on nested parts of the labels.

It shows whether more labels would help, before they are paid for. Every model starts from the base. All are measured on
the same held-out labels, whose queries no model was trained on.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch

from data.campaign.settings import Reward
from data.errors import Refused
from data.rounds.plan import Point
from models.lm.base import Base
from models.reward.dataset import Split
from models.reward.ensemble import Ensemble
from models.reward.model import measure_held_out, new_reward_model, train_reward_model
from models.reward.preferences import Comparison
from models.training.hooks import Hooks
from models.training.loop import Look, unwatched

PARTS = (1 / 8, 1 / 4, 1 / 2, 1)
FEWEST = 32  # smallest number of labels to train on


def learning_curve(
    base: Base,
    split: Split,
    normal: Sequence[Comparison],
    settings: Reward,
    seed: int,
    say: Callable[[str], None],
    look: Look = unwatched,
) -> list[Point]:
    """Train a reward model on an eighth, a quarter, half and all of the labels, each part within the next.

    Return the number of held-out labels that each model predicts. `normal` are responses of the base that set gain and
    bias first. Raises Refused with too few labels.
    """
    if len(split.train) < FEWEST or not split.held_out:
        raise Refused(
            f"{len(split.train)} labels to train on and {len(split.held_out)} held out are too few for a learning "
            f"curve. It needs {FEWEST} and 1: ingest more labels first."
        )
    order = torch.randperm(len(split.train), generator=torch.Generator().manual_seed(seed)).tolist()
    everything = len(split.train) + len(split.held_out)
    points = []
    for part in PARTS:
        count = round(part * len(order))
        model = new_reward_model(base.model, seed)
        model.normalise(normal, look=look)
        train_reward_model(model, [split.train[i] for i in order[:count]], settings, seed, Hooks(look=look))
        accuracy = measure_held_out(partial(Ensemble([model]).scores, look=look), split.held_out).accuracy
        points.append(Point(round(part * everything), round(accuracy.value * accuracy.n), accuracy.n))
        say(f"learning curve: {count:,} of {len(order):,} labels: held-out accuracy {accuracy}")
    return points
