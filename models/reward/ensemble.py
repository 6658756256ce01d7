"""Reward models of several seeds. Their mean is the score, and their spread shows uncertainty."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from models.reward.model import RewardModel, load_reward_model, score_all
from models.reward.preferences import Comparison
from models.training.loop import Look, unwatched


class Ensemble:
    """One or more reward models as one score. Called with queries [B, Q] and truncated responses [B, k, R]: [B, k]."""

    def __init__(self, members: Sequence[RewardModel]) -> None:
        self.members = list(members)

    def __call__(self, queries: Tensor, responses: Tensor) -> Tensor:
        return torch.stack([member(queries, responses) for member in self.members]).mean(0)

    def scores(self, rows: Sequence[Comparison], look: Look = unwatched) -> Tensor:
        """Return the scores [members, N, k] of comparisons; -inf for a response that a comparison lacks."""
        return torch.stack([score_all(member, rows, look) for member in self.members])

    def save(self, folder: Path, padding: int | None = None) -> list[float] | None:
        """Write the first member to the top of a folder, like a single model, and the others to subfolders.

        Returns what the logit of each member, as a sequence classifier, lacks of its score; None if transformers has no
        such classifier. `padding` is a token at which no response ends.
        """
        folders = [folder / f"member-{number}" if number else folder for number in range(len(self.members))]
        saved = [member.save(path, padding) for member, path in zip(self.members, folders, strict=True)]
        return [each.lacks for each in saved] if saved[0].exists else None


def load_ensemble(folder: Path) -> Ensemble:
    """Load all members of a published reward model, frozen."""
    return Ensemble([load_reward_model(path) for path in (folder, *sorted(folder.glob("member-*")))])
